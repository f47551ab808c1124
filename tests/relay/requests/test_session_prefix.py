"""Sessions of requests that name none, by how their conversations begin: only where an operator
allows it (`relay/requests/session_prefix.py`)."""

import json
from typing import Any, Final
from uuid import UUID

import pytest

from dialects.json.body import read_body
from relay.requests.session_prefix import _read_prefix, prefix_session
from relay.requests.sessions import Session, session_id
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.endpoints.test_responses_socket import connected
from tests.support import hostile
from tests.support.hub import Hub, Tenant

ORGANISATION, KEY = UUID(int=1), UUID(int=2)
PEPPER: Final = "pepper"


def by_prefix(
    body: dict[str, Any],
    *,
    pepper: str = PEPPER,
    organisation: UUID = ORGANISATION,
    key: UUID = KEY,
) -> Session | None:
    return prefix_session(pepper, organisation, key, read_body(json.dumps(body).encode()))


def id_of(body: dict[str, Any], **over: Any) -> UUID:
    session = by_prefix(body, **over)
    assert session is not None
    assert session[1:] == ("", "prefix", "", "")
    return session.id


def said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def part(text: str, **over: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **over}


CACHED: Final = {"cache_control": {"type": "ephemeral"}}
OPENAI: Final = {"messages": [said("system", "be brief"), said("user", "task")]}
ANTHROPIC: Final = {"system": "be brief", "messages": [said("user", "task")]}
RESPONSES: Final = {"instructions": "be brief", "input": "task"}
GEMINI: Final = {
    "systemInstruction": {"parts": [{"text": "be brief"}]},
    "contents": [{"parts": [{"text": "task"}]}],
}
INTERACTIONS: Final = {"system_instruction": "be brief", "input": [part("task")]}
CONVERSE: Final = {
    "system": [{"text": "be brief"}, {"cachePoint": {"type": "default"}}],
    "messages": [said("user", [{"text": "task"}])],
}
ALL: Final = (OPENAI, ANTHROPIC, RESPONSES, GEMINI, INTERACTIONS, CONVERSE)


@pytest.mark.parametrize("first", ALL, ids=range(len(ALL)))
def test_every_dialect_begins_alike(first: dict[str, Any]) -> None:
    """The same instructions and message are the same session, whatever else the request says."""
    assert id_of(first) == id_of(OPENAI)
    assert id_of({**first, "model": "m", "tools": [], "temperature": 1}) == id_of(OPENAI)


@pytest.mark.parametrize(
    "later",
    [
        [said("assistant", "done"), said("user", "more")],
        [said("assistant", None), said("tool", "result")],
        [{"type": "function_call", "name": "f"}, {"type": "function_call_output", "output": "x"}],
        [said("model", "done")],
        # Some agents tell a model things between turns, and leave them out later.
        [said("system", "the date is new"), said("assistant", "done")],
    ],
)
def test_text_after_the_first_answer_changes_nothing(later: list[Any]) -> None:
    for name in ("messages", "contents", "input"):
        body = {name: [*OPENAI["messages"], *later]}
        assert id_of(body) == id_of(OPENAI)


def test_marks_and_forms_of_a_text_change_nothing() -> None:
    """Clients mark what to cache in the last messages, so the first one loses its mark."""
    marked = {
        "system": [part("be brief", **CACHED)],
        "messages": [said("user", [part("task", **CACHED)])],
    }
    assert id_of(marked) == id_of(ANTHROPIC)
    steps = [{"type": "user_input", "content": [part("task")]}]
    assert id_of({**INTERACTIONS, "input": steps}) == id_of(INTERACTIONS)
    assert id_of({**RESPONSES, "input": [said("user", "task")]}) == id_of(RESPONSES)


def test_other_beginnings_are_other_sessions() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:,1"}}
    others = [
        {"messages": [said("system", "be long"), said("user", "task")]},
        {"messages": [said("system", "be brief"), said("user", "another")]},
        {"messages": [said("user", "task")]},
        # What the user says before the first answer is one message.
        {"messages": [*OPENAI["messages"], said("user", "and more")]},
        {"messages": [said("system", "be brief"), said("user", [part("task"), picture])]},
        # No text moves from one place to the other.
        {"messages": [said("system", ""), said("user", ["be brief", "task"])]},
        {"messages": [said("system", "be brieftask"), said("user", "")]},
    ]
    ids = [id_of(body) for body in (OPENAI, *others)]
    assert len(set(ids)) == len(ids)


def test_the_digest_is_keyed() -> None:
    """Nobody without the installation's key can tell a text from its session's id, and no two
    organisations or API keys share one."""
    ids = [
        id_of(OPENAI),
        id_of(OPENAI, pepper="another"),
        id_of(OPENAI, organisation=UUID(int=9)),
        id_of(OPENAI, key=UUID(int=9)),
    ]
    assert len(set(ids)) == len(ids)
    assert id_of(OPENAI) != session_id(KEY, "be brief")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": []},
        {"messages": [said("system", "be brief")]},
        {"messages": [said("assistant", "x")]},
        {"messages": {"role": 7, "content": "x"}},
        {"messages": 7},
        {"input": [7, None, [], {"type": ["text"]}, {"role": {}}]},
        {"system": "be brief"},
    ],
)
def test_conversation_without_a_user_message_has_no_session(body: dict[str, Any]) -> None:
    assert by_prefix(body) is None


def test_no_text_is_too_odd_to_begin_with() -> None:
    texts = (*hostile.STORABLE, hostile.NUL, hostile.LONG)
    ids = {id_of({"system": text, "messages": [said("user", text)]}) for text in texts}
    assert len(ids) == len(texts)
    raw = b'{"messages": [{"role": "user", "n": 1e999, "content": "x"}]}'
    assert prefix_session(PEPPER, ORGANISATION, KEY, read_body(raw)) in (
        None,
        by_prefix({"messages": [said("user", "x")]}),
    )


# ---- over the hub


def recorded(hub: Hub, tenant: Tenant, body: Any, path: str = "/v1/chat/completions") -> Any:
    """The id and the details of the session of a request."""
    answer = hub.post(tenant, body, path=path)
    assert answer.status == 200, answer.body
    record = hub.record(answer.headers["x-request-id"])
    return record["session_id"], record["session"]


def test_prefix_sessions_are_off_by_default(own_hub: Hub, fake: FakeUpstream) -> None:
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(fake)
    body = ask(model, "#tokens=2")
    assert recorded(own_hub, tenant, body) == (None, None)
    own_hub.settings(prefix_sessions=True)
    model = own_hub.model(fake)
    id, details = recorded(own_hub, tenant, {**body, "model": model})
    assert details == {"source": "prefix"}
    more = [*body["messages"], said("assistant", "x"), said("user", "more")]
    assert recorded(own_hub, tenant, {"model": model, "messages": more})[0] == id
    # Another key's is another one, and what names a session belongs to that.
    assert recorded(own_hub, own_hub.tenant(), {**body, "model": model})[0] != id
    named, details = recorded(own_hub, tenant, {**body, "model": model, "session_id": "s"})
    assert (named, details["source"]) == (session_id(tenant.key_id, "s"), "session_id")
    own_hub.settings(prefix_sessions=False)
    model = own_hub.model(fake)
    assert recorded(own_hub, tenant, {**body, "model": model}) == (None, None)
    own_hub.assert_books_balance()


def test_stored_responses_continue_the_session_of_their_prefix(
    own_hub: Hub, fake: FakeUpstream
) -> None:
    """Over HTTP and over a WebSocket, stored or not, the turns of one conversation are one session,
    and the cap that a client sends holds for it."""
    own_hub.settings(prefix_sessions=True)
    own_hub.start()
    tenant = own_hub.tenant()
    model = own_hub.model(fake, provider="openai", upstream_model="o4-mini")
    body = {"model": model, "instructions": "be brief", "input": "#tokens=2"}
    answer = own_hub.post(tenant, body, path="/v1/responses")
    first = own_hub.record(answer.headers["x-request-id"])
    assert first["session"] == {"source": "prefix"}
    id, details = recorded(
        own_hub,
        tenant,
        {"model": model, "input": "more", "previous_response_id": answer.json()["id"]},
        "/v1/responses",
    )
    assert (id, details["source"]) == (first["session_id"], "previous_response_id")
    with connected(own_hub, tenant.key) as client:
        for store in (False, True):
            client.send(**{"type": "response.create", "store": store, **body})
            response = client.response()
            client.create(model, "more", previous_response_id=response["id"])
            client.response()
    query = "SELECT session_id FROM usage_usagerecord WHERE organisation_id = %s AND final"
    own_hub.wait(lambda: len(own_hub.rows(query, tenant.organisation_id)) == 6, "not all turns")
    assert {row["session_id"] for row in own_hub.rows(query, tenant.organisation_id)} == {id}
    capped = own_hub.post(
        tenant, body, path="/v1/responses", headers={"x-weir-session-budget": "0.000000001"}
    )
    assert capped.status == 402
    own_hub.assert_books_balance()


def test_only_chats_have_a_prefix(own_hub: Hub, fake: FakeUpstream) -> None:
    own_hub.settings(prefix_sessions=True)
    own_hub.start()
    tenant = own_hub.tenant()
    model = own_hub.model(fake, upstream_model="text-embedding-3-small")
    body = {"model": model, "input": "the same text"}
    assert recorded(own_hub, tenant, body, "/v1/embeddings") == (None, None)


@pytest.mark.parametrize("kind", ["user_input", "text", "image", "audio", "document", "video"])
def test_step_of_the_user_begins_a_session_whatever_it_is(kind: str) -> None:
    first = {"type": kind, "text": "hello"}
    answered = [first, {"type": "model_output", "text": "hi"}, {"type": kind, "text": "more"}]
    for steps in ([first], answered):
        assert _read_prefix(read_body(json.dumps({"input": steps}).encode())) == ["", "hello"]
    assert _read_prefix(read_body(b'{"input": [{"type": "thought", "text": "a"}]}')) is None
