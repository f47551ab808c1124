"""Sessions are recognised from what agents send, and from nothing else (`SOURCES`)."""

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final
from uuid import UUID

import pytest

from dialects.json.body import read_body
from relay.requests.sessions import (
    AGENT_HEADERS,
    NAME_LENGTH,
    PARENT_SESSION_HEADERS,
    SESSION_HEADERS,
    SOURCES,
    Session,
    opening_session,
    read_session_headers,
    read_session_members,
    session_id,
)
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.support import hostile
from tests.support.hub import Hub

KEY, OTHER_KEY = UUID(int=1), UUID(int=2)
NAME: Final = "0f7c1c1e-8f0e-4b7e-9a53-2b8f8f0d8a11"
HEADERS: Final = [one.place for one in SOURCES if one.kind == "header"]
# Claude Code before and since 2.1; a cache key; a stored response.
MEMBERS: Final[dict[str, list[Any]]] = {
    "metadata.session_id": [{"metadata": {"session_id": NAME}}],
    "metadata.user_id": [
        {"metadata": {"user_id": f"user_ab12_account_cd34_session_{NAME}"}},
        {"metadata": {"user_id": json.dumps({"device_id": "d", "session_id": NAME})}},
    ],
    "session_id": [{"session_id": NAME}],
    "prompt_cache_key": [{"prompt_cache_key": NAME}],
    "previous_response_id": [{"previous_response_id": NAME}],
}
TEXTS: Final = (*hostile.STORABLE, hostile.NUL, hostile.LONG, "", " ", "\x00", "\u200b")


def by_headers(headers: Mapping[str, str], key: UUID = KEY) -> Session | None:
    raw = {name.encode(): value.encode() for name, value in headers.items()}
    return read_session_headers(key, {k: v for k, v in raw.items() if k in SESSION_HEADERS})


def by_members(body: Any, earlier: tuple[str, str] | None = None) -> Session | None:
    return read_session_members(KEY, read_body(json.dumps(body).encode()), earlier)


@pytest.mark.parametrize("place", HEADERS)
def test_each_header_names_a_session(place: str) -> None:
    value = f"a=b,gen_ai.conversation.id={NAME};p=1" if place == "baggage" else NAME
    assert by_headers({place: value, "user-agent": "x"}) == (
        session_id(KEY, NAME), NAME, place, "", "",
    )  # fmt: skip


@pytest.mark.parametrize("place", [place for place in HEADERS if place not in MEMBERS])
def test_a_header_in_the_body_names_none(place: str) -> None:
    assert by_members({place: NAME}) is None


def test_a_record_keeps_what_is_known_of_a_session() -> None:
    assert Session(KEY, "n", "x").details == '{"name":"n","source":"x"}'
    details = Session(KEY, "n", "x", "a", "p").details
    assert details == '{"name":"n","source":"x","agent":"a","parent":"p"}'


def test_each_member_names_a_session() -> None:
    assert [*MEMBERS] == [one.place for one in SOURCES if one.kind == "member"]
    for place, bodies in MEMBERS.items():
        for body in bodies:
            assert by_members({"model": "m", **body}) == (
                session_id(KEY, NAME), NAME, place, "", "",
            )  # fmt: skip


@pytest.mark.parametrize(("first", "second"), [*pairwise(HEADERS)])
def test_the_first_source_counts(first: str, second: str) -> None:
    values = {"baggage": "session.id=two"}
    session = by_headers({second: values.get(second, "two"), first: "one"})
    assert session is not None
    assert (session.source, session.name) == (first, "one")
    alone = by_headers({second: values.get(second, "two"), first: " "})
    assert alone is not None
    assert alone.source == second


def test_the_first_member_counts() -> None:
    sent: dict[str, Any] = {}
    for place, (body, *_) in reversed(MEMBERS.items()):
        metadata = {**sent.get("metadata", {}), **body.get("metadata", {})}
        sent = {**sent, **body, **({"metadata": metadata} if metadata else {})}
        session = by_members(sent)
        assert session is not None
        assert session.source == place


def test_a_stored_response_passes_its_session_on() -> None:
    earlier = (str(session_id(KEY, "root")), "root")
    session = by_members({"previous_response_id": "resp_2"}, earlier)
    assert session == (session_id(KEY, "root"), "root", "previous_response_id", "", "")


def test_first_response_opens_the_session_of_later_ones() -> None:
    opens = opening_session(KEY, UUID(int=7))
    first = by_members({"input": "x", "previous_response_id": None}, opens)
    assert first == (UUID(opens[0]), "", "first_response", "", "")
    assert first is not None
    second = by_members({"previous_response_id": "resp_1"}, (str(first.id), first.name))
    assert second is not None
    assert second[:3] == (first.id, "", "previous_response_id")
    assert by_members({"prompt_cache_key": NAME}, opens) == by_members({"prompt_cache_key": NAME})
    assert opening_session(OTHER_KEY, UUID(int=7)) != opens


def test_sub_agents_are_those_that_the_client_names() -> None:
    claude = {"x-claude-code-session-id": "s", "x-claude-code-agent-id": "a"}
    codex = {"session-id": "s", "thread-id": "t", "x-codex-parent-thread-id": "s"}
    opencode = {"x-opencode-session-id": "child", "x-opencode-parent-session-id": "s"}
    cases = [
        (claude, "a", ""),
        ({**claude, "x-claude-code-parent-agent-id": "p"}, "a", "p"),
        (codex, "t", ""),
        ({**codex, "thread-id": "u", "x-codex-parent-thread-id": "t"}, "u", "t"),
        ({"session-id": "s", "thread-id": "s"}, "", ""),
        (opencode, "child", ""),
        ({"x-session-id": "child", "x-parent-session-id": "s"}, "child", ""),
        ({"x-claude-code-session-id": "s", "x-claude-code-parent-agent-id": "p"}, "", ""),
    ]
    for headers, agent, parent in cases:
        session = by_headers(headers)
        assert session is not None
        assert session[1:] == ("s", next(iter(headers)), agent, parent), headers
        assert session.id == session_id(KEY, "s")
    named = {name for one in AGENT_HEADERS for name in one} | set(PARENT_SESSION_HEADERS)
    assert named | set(HEADERS) == {name.decode() for name in SESSION_HEADERS}


def test_no_two_keys_share_a_session() -> None:
    one, two = (by_headers({"x-weir-session": NAME}, key) for key in (KEY, OTHER_KEY))
    assert one is not None
    assert two is not None
    assert one.id != two.id
    # By whichever place it is named.
    body = by_members({"session_id": NAME})
    assert body is not None
    assert body.id == one.id != UUID(NAME)


def test_no_text_is_too_odd_for_a_session() -> None:
    for text in TEXTS:
        for session in (by_headers({"x-weir-session": text}), by_members({"session_id": text})):
            if session is None:
                assert not "".join(one for one in text if one.isprintable()).strip()
                continue
            assert 0 < len(session.name) <= NAME_LENGTH
            assert session.name.isprintable()
            assert session.id == session_id(KEY, text.strip())
            assert json.loads(session.details)["name"] == session.name
    # Two long names with the same beginning are two sessions.
    assert by_headers({"x-weir-session": "a" * 9_999}) != by_headers(
        {"x-weir-session": "a" * 9_998}
    )


@pytest.mark.parametrize("value", [None, 7, True, [NAME], {"session_id": NAME}, ""])
def test_non_text_values_name_no_session(value: Any) -> None:
    for name in ("session_id", "prompt_cache_key", "metadata", "previous_response_id"):
        if name == "metadata" and isinstance(value, dict):
            continue
        assert by_members({name: value}) is None
    for name in ("session_id", "user_id"):
        assert by_members({"metadata": {name: value}}) is None


def test_records_keep_the_session(hub: Hub, fake: FakeUpstream) -> None:
    """The client's text beside an id that is the key's own; without any, nothing."""
    tenant, model = hub.tenant(), hub.model(fake)
    headers = {"x-claude-code-session-id": NAME, "x-claude-code-agent-id": "agent-1"}
    named = hub.post(tenant, ask(model, "#tokens=2"), headers=headers)
    keyed = hub.post(tenant, ask(model, "#tokens=2", prompt_cache_key=NAME))
    refused = hub.post(hub.tenant("0"), ask(model, "#tokens=2"), headers=headers)
    plain = hub.post(tenant, ask(model, "#tokens=2"))
    assert [one.status for one in (named, keyed, refused, plain)] == [200, 200, 402, 200]
    kept = [
        (record["session_id"], record["session"])
        for one in (named, keyed, plain)
        for record in [hub.record(one.headers["x-request-id"])]
    ]
    id = session_id(tenant.key_id, NAME)
    assert kept == [
        (id, {"name": NAME, "source": "x-claude-code-session-id", "agent": "agent-1"}),
        (id, {"name": NAME, "source": "prompt_cache_key"}),
        (None, None),
    ]
    other = hub.record(refused.headers["x-request-id"])
    assert (other["session"]["name"], other["session_id"] == id) == (NAME, False)


def test_a_series_of_responses_is_one_session(hub: Hub, fake: FakeUpstream) -> None:
    """From its first one on; one that is not stored, and that nothing can continue, is in none."""
    tenant, model = hub.tenant(), hub.model(fake)
    previous, sessions = None, []
    for _ in range(3):
        body = {"model": model, "input": "#tokens=2", "previous_response_id": previous}
        answer = hub.post(tenant, body, path="/v1/responses")
        previous = answer.json()["id"]
        sessions.append(hub.record(answer.headers["x-request-id"])["session_id"])
    assert len(set(sessions)) == 1
    assert sessions[0] is not None
    body = {"model": model, "input": "#tokens=2", "store": False}
    answer = hub.post(tenant, body, path="/v1/responses")
    assert hub.record(answer.headers["x-request-id"])["session_id"] is None


def test_hostile_session_names_break_no_request(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    values = (hostile.LONG, hostile.NUL, hostile.EVERYTHING, [NAME], {"a": 1}, 7)
    for value in values:
        answer = hub.post(tenant, ask(model, "#tokens=2", session_id=value))
        assert answer.status == 200, answer.body
        record = hub.record(answer.headers["x-request-id"])
        assert (record["session_id"] is not None) == isinstance(value, str)
