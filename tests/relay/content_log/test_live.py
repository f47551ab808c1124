"""P31: of a Live session, each minute is kept with what both sides said in it, and each delegated
response; sound is counted."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from content.log.conversation import exchange_of
from content.log.kept import Kept
from content.log.story import fold_story
from lib.ids import id_text
from tests.fakes.live import FakeLive
from tests.relay.content_log.test_background_and_sockets import CARD, all_kept
from tests.relay.content_log.test_content_log import add_rule, entries, turns_of, where
from tests.relay.guarding.policies import add_policy
from tests.relay.realtime.live.test_delegations import backend_of, delegating
from tests.relay.realtime.live.test_live import RATES, Talk, live, records
from tests.support.hub import Hub

pytestmark = [
    pytest.mark.usefixtures("balanced_books"),
    pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def provider(hub: Hub) -> Iterator[FakeLive]:
    written = len(hub.log())
    with FakeLive() as provider:
        yield provider
    text = hub.log()[written:]
    assert "defect" not in text, text
    assert "Exception in ASGI application" not in text, text


@pytest.fixture
def model(hub: Hub, provider: FakeLive) -> Iterator[str]:
    with hub.forgetful():
        yield hub.model(provider, rates=RATES, upstream_model="gpt-live-1", retries=0)


def greet(hub: Hub, provider: FakeLive, model: str, notices: dict[str, str]) -> None:
    """A session with each key, which is told whether its texts are kept."""
    for key, notice in notices.items():
        with live(hub, key) as talk:
            talk.start(model)
            assert announced(talk) == notice
            converse(talk, provider, ("input", "Hello.", 100, 500))
            talk.close()


def announced(talk: Talk) -> str | None:
    response = talk.connection._connection.response
    assert response is not None
    return response.headers.get("x-weir-content-log")


def texts(content: Kept, model: str) -> list[tuple[str, str]]:
    """What was said, without calls of tools."""
    return [
        (turn.role, piece.text)
        for turn in turns_of(content, "responses", model)
        for piece in turn.pieces
        if piece.kind == "text" and piece.text.strip()
    ]


def ids(rows: list[dict[str, Any]]) -> set[str]:
    return {id_text(row["request_id"]) for row in rows}


def converse(talk: Talk, provider: FakeLive, *said: tuple[str, str, int, int]) -> None:
    """Let this be said, and wait until it is."""
    provider.transcripts = list(said)
    talk.ask("#talk")
    for kind, *_ in said:
        talk.hear(f"session.{kind}_transcript.delta")


def speak_past_a_minute(talk: Talk) -> None:
    """Send 75 s of sound, and wait until the provider has heard them."""
    for _ in range(5):
        talk.speak(15_000)
    while talk.hear("session.usage.updated").usage.seconds < 75:
        pass


def responses(talk: Talk, count: int = 1) -> None:
    """Wait for the end of so many delegated responses."""
    while count:
        count -= talk.hear("response.event").event["type"] == "response.completed"


def test_each_minute_is_kept_as_it_was_said(hub: Hub, provider: FakeLive, model: str) -> None:
    tenant, without = hub.tenant(), hub.tenant()
    add_rule(hub, tenant)
    planted = f"planted {secrets.token_hex(8)}"
    earlier = {"role": "user", "content": [{"type": "input_text", "text": "Earlier."}]}
    with live(hub, tenant.key) as talk:
        talk.start(model, instructions=f"Be kind, {CARD}.", input=[earlier])
        assert announced(talk) == "kept"
        converse(
            talk,
            provider,
            ("input", "Hello ", 100, 500),
            ("output", "Hm.", 300, 400),
            ("input", f"{planted}, my card is {CARD[:9]}", 500, 3_000),
            ("output", "Go ", 5_000, 5_300),
            ("output", "on.", 5_300, 5_600),
            ("input", f"{CARD[9:]}.", 8_000, 9_000),
            ("output", "Thank you.", 59_000, 60_000),
        )
        speak_past_a_minute(talk)
        converse(
            talk,
            provider,
            ("input", "Bye.", 60_000, 61_000),
            ("output", "Bye!", 61_000, 62_000),
        )
        talk.close()
    with live(hub, without.key) as talk:
        talk.start(model)
        assert announced(talk) is None
        talk.close()
    (row, first), (after, second) = all_kept(hub, tenant, 2)
    assert (row["operation"], row["dialect"], row["model"]) == ("realtime", "responses", model)
    assert row["session_id"] == after["session_id"] is not None
    assert ids([row, after]) == ids(records(hub, tenant, 2))
    system = ("system", "Be kind, <CARD_1>.")
    assert texts(first, model) == [
        system,
        ("user", "Earlier."),
        ("developer", "#talk"),
        ("user", f"Hello {planted}, my card is "),
        ("assistant", "Hm."),
        ("assistant", "Go on."),
        ("user", "<CARD_1>."),
        ("assistant", "Thank you."),
    ]
    assert texts(second, model) == [
        system,
        ("developer", "#talk"),
        ("user", "Bye."),
        ("assistant", "Bye!"),
    ]
    assert json.loads(second.request)["previous_response_id"] == json.loads(first.answer)["id"]
    story = [exchange_of(content, "responses", model) for content in (first, second)]
    assert [step.kind for step in fold_story(filter(None, story))] == ["begins", "continues"]
    assert (where(hub, planted), entries(hub, without)) == ([], [])


def test_minute_begins_before_its_time_is_reported(
    hub: Hub, provider: FakeLive, model: str
) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant)
    with live(hub, tenant.key) as talk:
        talk.start(model)
        converse(talk, provider, ("input", "One.", 100, 500))
        for ms in (14_000, 14_000, 14_000, 14_000, 6_000):
            talk.speak(ms)
        converse(talk, provider, ("input", "Two.", 60_500, 61_500))
        talk.close()
    spoken = [
        [text for role, text in texts(content, model) if role == "user"]
        for _, content in all_kept(hub, tenant, 2)
    ]
    assert spoken == [["One."], ["Two."]]


def test_sound_is_counted(hub: Hub, provider: FakeLive, model: str) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant)
    with live(hub, tenant.key) as talk:
        talk.start(model)
        talk.speak(4_000)
        talk.ask("#say=2000")
        talk.hear("session.output_transcript.delta")
        talk.close()
    ((_, content),) = all_kept(hub, tenant, 1)
    assert b"weir/192000/bytes/sha256/" in content.request
    assert b"weir/96000/bytes/sha256/" in content.answer
    assert len(content.request) + len(content.answer) < 2_000


def test_delegated_response_is_kept_with_its_call_and_result(
    hub: Hub, provider: FakeLive, model: str
) -> None:
    tenant, backend = hub.tenant(), backend_of(hub, model)
    add_rule(hub, tenant)
    delegation = delegating(backend, instructions=f"Look it up for {CARD}.")
    with live(hub, tenant.key) as talk:
        talk.start(model, delegation=delegation)
        talk.ask("#delegate #call #tokens=2")
        responses(talk)
        output = {"type": "function_call_output", "call_id": "call_1", "output": f"42, {CARD}"}
        talk.say(type="response.item.create", item=output)
        talk.say(type="response.create")
        responses(talk)
        late = {"type": "function_call_output", "call_id": "call_1", "output": "too late"}
        talk.say(type="response.item.create", item=late)
        talk.close()
    kept = all_kept(hub, tenant, 3)
    assert ids([row for row, _ in kept]) == ids(records(hub, tenant, 3))
    (_, asking), (_, answering) = [one for one in kept if one[0]["model"] == backend]
    ((_, minute),) = [one for one in kept if one[0]["model"] == model]
    pieces = [piece for turn in turns_of(asking, "responses", backend) for piece in turn.pieces]
    assert ("text", "Look it up for <CARD_1>.") in [(one.kind, one.text) for one in pieces]
    assert ("tool_call", "look_up") in [(one.kind, one.name) for one in pieces]
    assert ("assistant", "w0 w1 ") in texts(asking, backend)
    results = [
        piece.text
        for turn in turns_of(answering, "responses", backend)
        for piece in turn.pieces
        if piece.kind == "tool_result"
    ]
    assert results == ["42, <CARD_1>"]
    second = json.loads(answering.request)
    assert second["previous_response_id"] == json.loads(asking.answer)["id"]
    # The session ended before a response could read it.
    assert b"too late" in minute.request
    assert b'"name":"delegation"' in minute.answer + minute.request


def test_delegated_response_that_never_ends_is_kept_as_broken(
    hub: Hub, provider: FakeLive, model: str
) -> None:
    tenant, backend = hub.tenant(), backend_of(hub, model)
    add_rule(hub, tenant)
    with live(hub, tenant.key) as talk:
        talk.start(model, delegation=delegating(backend))
        talk.ask("#delegate #tokens=3 #fault=half")
        for _ in range(4):
            talk.hear("response.event")
        talk.close()
    kept = {row["model"]: content for row, content in all_kept(hub, tenant, 2)}
    assert texts(kept[backend], backend) == [("assistant", "w0 w1 w2 ")]
    assert (kept[backend].broken, kept[model].broken) == (True, False)


def test_decision_is_kept_with_its_questions(hub: Hub, provider: FakeLive, model: str) -> None:
    tenant, backend = hub.tenant(), backend_of(hub, model)
    add_rule(hub, tenant)
    question = {"type": "predicate", "name": "angry", "instructions": "Is the caller angry?"}
    config = {"model": backend, "questions": [question]}
    with live(hub, tenant.key) as talk:
        talk.start(model, delegation={"type": "decisions", "decisions": config})
        item = {"role": "user", "content": f"He shouted {CARD}.", "type": "message"}
        talk.say(type="decision.item.create", item=item)
        talk.ask("#decide")
        talk.hear("decision.event")
        talk.close()
    kept = {row["model"]: content for row, content in all_kept(hub, tenant, 2)}
    system, asked, decided = texts(kept[backend], backend)
    assert json.loads(system[1]) == [question]
    assert asked == ("user", "He shouted <CARD_1>.")
    assert json.loads(decided[1])[0]["probability"] == 0.25


def test_work_of_the_client_is_kept_as_a_call(hub: Hub, provider: FakeLive, model: str) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant)
    with live(hub, tenant.key) as talk:
        talk.start(model, delegation={"type": "client"})
        talk.ask("#delegate")
        delegation = talk.hear("session.delegation.created").delegation
        talk.say(type="session.thinking.append", content="Still looking.", delegation_id=None)
        talk.say(type="session.commentary.append", content=f"{CARD}", delegation_id=delegation.id)
        talk.close()
    ((_, content),) = all_kept(hub, tenant, 1)
    asked = json.loads(content.request)["input"]
    assert asked[-1] == {
        "type": "function_call_output",
        "call_id": delegation.id,
        "output": "<CARD_1>",
    }
    pieces = [piece for turn in turns_of(content, "responses", model) for piece in turn.pieces]
    (call,) = [piece for piece in pieces if piece.kind == "tool_call"]
    assert (call.name, json.loads(call.text)) == ("delegation", {"target": "client"})
    assert ("developer", "Still looking.") in texts(content, model)


@pytest.mark.parametrize("keep", ["errors", "everything"])
def test_session_that_fails_is_kept(hub: Hub, provider: FakeLive, model: str, keep: str) -> None:
    """Of the minute that failed, the end that could begin a number is not kept."""
    tenant = hub.tenant()
    add_rule(hub, tenant, keep=keep)
    with live(hub, tenant.key) as talk:
        talk.start(model)
        assert announced(talk) == ("kept" if keep == "everything" else "not-kept")
        converse(talk, provider, ("input", "One.", 100, 500))
        speak_past_a_minute(talk)
        converse(talk, provider, ("output", "Two 4111", 60_000, 61_000))
        talk.ask("#fault=close")
        talk.end()
    kept = all_kept(hub, tenant, 1 if keep == "errors" else 2)
    row, last = kept[-1]
    assert (row["status"], last.broken, bool(last.error)) == (502, True, True)
    spoken = [turn for turn in texts(last, model) if turn[0] != "developer"]
    assert spoken == [("assistant", "Two ")]
    if keep == "everything":
        assert ("user", "One.") in texts(kept[0][1], model)
        assert not kept[0][1].broken


def test_end_of_a_minute_that_is_not_kept_is_in_no_entry(
    hub: Hub, provider: FakeLive, model: str
) -> None:
    """A number that begins in it is masked all the same."""
    tenant = hub.tenant()
    add_rule(hub, tenant, keep="errors")
    with live(hub, tenant.key) as talk:
        talk.start(model)
        converse(
            talk,
            provider,
            ("input", "My card is 4111 1111", 100, 500),
            ("output", "Room 12", 600, 900),
        )
        speak_past_a_minute(talk)
        converse(
            talk,
            provider,
            ("input", " 1111 1111, yes.", 60_100, 61_000),
            ("output", " is free.", 61_000, 62_000),
        )
        talk.ask("#fault=close")
        talk.end()
    ((row, content),) = all_kept(hub, tenant, 1)
    assert row["status"] == 502
    spoken = [turn for turn in texts(content, model) if turn[0] != "developer"]
    assert spoken == [("user", "<CARD_1>, yes."), ("assistant", " is free.")]


def test_session_can_be_left_out(hub: Hub, provider: FakeLive, model: str) -> None:
    tenant = hub.tenant()
    add_rule(hub, tenant)
    for stores in ("false", "true"):
        with live(hub, tenant.key, extra_headers={"x-weir-store": stores}) as talk:
            talk.start(model, instructions=f"Stores: {stores}")
            assert announced(talk) == ("not-kept" if stores == "false" else "kept")
            talk.close()
    ((_, content),) = all_kept(hub, tenant, 1)
    assert texts(content, model) == [("system", "Stores: true")]


def test_rule_of_a_model_applies_to_its_requests_alone(
    hub: Hub, provider: FakeLive, model: str
) -> None:
    tenant, backend = hub.tenant(), backend_of(hub, model)
    add_rule(hub, tenant)
    add_rule(hub, tenant, scope="model", subject=backend, keep="nothing")
    with live(hub, tenant.key) as talk:
        talk.start(model, delegation=delegating(backend))
        talk.ask("#delegate #tokens=2")
        responses(talk)
        talk.close()
    records(hub, tenant, 2)
    ((row, content),) = all_kept(hub, tenant, 1)
    assert row["model"] == model
    assert b"w0 w1" not in content.request + content.answer


def test_rule_of_a_key_applies_to_its_sessions_alone(
    hub: Hub, provider: FakeLive, model: str
) -> None:
    tenant, backend = hub.tenant(), backend_of(hub, model)
    other = hub.key(tenant)
    add_rule(hub, tenant, scope="key")
    for key, notice in ((other.key, None), (tenant.key, "kept")):
        with live(hub, key) as talk:
            talk.start(model, delegation=delegating(backend))
            assert announced(talk) == notice
            talk.ask("#delegate #tokens=2")
            responses(talk)
            talk.close()
    used = records(hub, tenant, 4)
    kept = all_kept(hub, tenant, 2)
    assert {row["key_id"] for row, _ in kept} == {tenant.key_id}
    assert ids([row for row, _ in kept]) == ids(
        [row for row in used if row["key_id"] == tenant.key_id]
    )


def test_key_that_keeps_nothing_is_left_out(hub: Hub, provider: FakeLive, model: str) -> None:
    tenant = hub.tenant()
    other = hub.key(tenant)
    add_rule(hub, tenant)
    add_rule(hub, tenant, scope="key", keep="nothing")
    greet(hub, provider, model, {tenant.key: "not-kept", other.key: "kept"})
    records(hub, tenant, 2)
    ((row, _),) = all_kept(hub, tenant, 1)
    assert row["key_id"] == other.key_id


@pytest.mark.parametrize("share", [1, 50, 99])
def test_share_is_drawn_for_each_minute_and_each_delegated_response(
    hub: Hub, provider: FakeLive, model: str, share: int
) -> None:
    """The number that is drawn is in the id of the request. What was said in a minute that is not
    kept is in none that is."""
    tenant, all_of_it, backend = hub.tenant(), hub.tenant(), backend_of(hub, model)
    add_rule(hub, tenant, share_percent=share)
    add_rule(hub, all_of_it)
    with live(hub, tenant.key) as talk:
        talk.start(model, delegation=delegating(backend))
        assert announced(talk) == "kept"
        for minute in range(6):
            start_ms = 60_000 * minute
            converse(
                talk,
                provider,
                ("input", f"Question {minute}. ", start_ms + 1, start_ms + 100),
                ("output", f"Answer {minute}. ", start_ms + 200, start_ms + 300),
            )
            talk.ask("#delegate #tokens=2")
            responses(talk)
            for _ in range(4 if minute < 5 else 1):
                talk.speak(15_000)
        talk.close()
    used = records(hub, tenant, 12)
    drawn = [row for row in used if row["request_id"].int % 100 < share]
    # What ends later is kept later.
    with live(hub, all_of_it.key) as talk:
        talk.start(model)
        converse(talk, provider, ("input", "Hello.", 100, 500))
        talk.close()
    all_kept(hub, all_of_it, 1)
    kept = {row["request_id"]: content for row, content in all_kept(hub, tenant, len(drawn))}
    assert kept.keys() == {row["request_id"] for row in drawn}
    minutes = [row["request_id"] for row in used if row["model"] == model]
    for minute, id in enumerate(minutes):
        if id in kept:
            spoken = [turn for turn in texts(kept[id], model) if turn[0] != "developer"]
            assert spoken == [("user", f"Question {minute}. "), ("assistant", f"Answer {minute}. ")]


@pytest.mark.parametrize(("hours", "expected"), [((48, 6), 6), ((None, 3), 3), ((48,), 24)])
def test_policy_shortens_the_time_of_a_session(
    hub: Hub, provider: FakeLive, model: str, hours: tuple[int | None, ...], expected: int
) -> None:
    tenant, backend = hub.tenant(), backend_of(hub, model)
    add_rule(hub, tenant)
    for n, one in enumerate(hours):
        add_policy(hub, tenant, f"P{n}", retention_hours=one)
    with live(hub, tenant.key) as talk:
        talk.start(model, delegation=delegating(backend))
        talk.ask("#delegate #tokens=2")
        responses(talk)
        talk.close()
    times = {
        row["model"]: (row["expires_at"] - row["created_at"]).total_seconds() / 3600
        for row, _ in all_kept(hub, tenant, 2)
    }
    assert times == {model: expected, backend: expected}


@pytest.mark.parametrize("scope", ["key", "team", "organisation"])
def test_policy_keeps_a_session_from_being_kept(
    hub: Hub, provider: FakeLive, model: str, scope: str
) -> None:
    tenant, other = hub.tenant(), hub.tenant()
    for one in (tenant, other):
        add_rule(hub, one, callers_may_opt_out=False)
    add_policy(hub, tenant, "Nothing", scope, retention_hours=0)
    greet(hub, provider, model, {tenant.key: "not-kept", other.key: "kept"})
    all_kept(hub, other, 1)
    records(hub, tenant, 1)
    assert entries(hub, tenant) == []
