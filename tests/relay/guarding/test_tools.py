"""The firewall of tools on the way through the relay, in every dialect: what a request declares and
repeats, and the calls of an answer, streamed and whole."""

import json
from typing import Any

import pytest

from content.guards.rules import GuardRule
from dialects.chat.events import (
    Broken,
    Event,
    Finish,
    Start,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallEnd,
    ToolCallStart,
    UpstreamError,
)
from dialects.chat.fold import fold
from dialects.endpoints.codecs import CODECS
from dialects.json.body import read_body
from relay.guarding.guarded_answer import GuardedAnswer
from relay.guarding.guarding import Guarding
from relay.guarding.refusals import GuardRefused
from relay.guarding.rule_set import KeyRules
from relay.guarding.tool_gate import ToolGate
from tests.fakes.upstream import FakeUpstream
from tests.relay.guarding.conftest import GuardedHub
from tests.relay.guarding.way import Way, answer_of, call_of, pieces_of, spoken
from tests.relay.speakers import SPEAKERS, UPSTREAMS, Wish

by_dialect = pytest.mark.parametrize("dialect", SPEAKERS)
NAME = "get_weather"


def rule(decision: str, name: str = NAME, *arguments: tuple[str, str], **more: Any) -> GuardRule:
    conditions = [{"pointer": pointer, "pattern": pattern} for pointer, pattern in arguments]
    settings = {"rules": [{"name": name, "decision": decision, "arguments": conditions}]}
    places = more.get("places", ["request", "tool_call", "tool_result"])
    return GuardRule("tool", settings, places, more.get("action", "refuse"), "own")


def streamed(dialect: str, rules: list[GuardRule], events: list[Event]) -> tuple[bytes, Way]:
    way = Way(dialect, rules)
    raw = way.upstream(events)
    sent = b"".join(way.feed(raw[at : at + 9]) for at in range(0, len(raw), 9)) + way.end()
    framing = CODECS[dialect].framing(lambda: 0)  # type: ignore[index]
    return sent if framing is None else framing.feed(sent), way


@by_dialect
@pytest.mark.parametrize("decision", ["refuse", "ask"])
def test_a_refused_call_is_not_seen(dialect: str, decision: str) -> None:
    for size in (1, 5):
        text = '{"city": "Paris, rue X"}'
        sent, way = streamed(
            dialect, [rule(decision, NAME, ("/city", "Paris"))], call_of(pieces_of(text, size))
        )
        assert way.refused
        assert b"Paris" not in sent
        spoken = SPEAKERS[dialect].streamed(sent)
        assert spoken.error is not None
        assert not spoken.whole
        assert spoken.calls == []
        # The declared tool is repeated by one dialect; a call has its id.
        assert b"c1" not in sent
        code = "approval_required" if decision == "ask" else "own"
        assert f"the guard tool rejects the call of a tool ({code})" in str(spoken.error)
        assert SPEAKERS[dialect].guard_code(spoken.error, stream=True) == code


@by_dialect
def test_an_allowed_call_is_the_same_as_without_a_firewall(dialect: str) -> None:
    for text in ('{"city": "Rome"}', "{}"):
        passing = [rule("refuse", NAME, ("/city", "Paris"))]
        with_it, _ = streamed(dialect, passing, call_of(pieces_of(text, 3)))
        (call,) = SPEAKERS[dialect].streamed(with_it).calls
        assert (call.name, call.arguments) == (NAME, json.loads(text))


@by_dialect
def test_calls_that_are_open_at_once_keep_their_order(dialect: str) -> None:
    calls: list[Event] = [
        ToolCallStart(0, 0, "c1", "one"), ToolCallStart(0, 1, "c2", "two"),
        ToolArgumentsDelta(0, 1, '{"b":2}'), ToolCallEnd(0, 1),
        ToolArgumentsDelta(0, 0, '{"a":1}'), ToolCallEnd(0, 0),
    ]  # fmt: skip
    start, *_, finish, usage, end = call_of([])
    guarding = Guarding(KeyRules([rule("refuse", "three")]))
    guarded = GuardedAnswer(guarding)
    events = [start, TextDelta(0, "hi"), *calls, finish, usage, end]
    shown: list[Event] = []
    for event in events:
        shown += guarded.change([event])[0]
    assert shown == events
    refusing = GuardedAnswer(Guarding(KeyRules([rule("refuse", "one")])))
    shown = [one for event in events for one in refusing.change([event])[0]]
    assert shown == [start, TextDelta(0, "hi")]


# A whole call, and then two that are open at once; and after how many of the events none is open.
ANSWER: list[Event] = [
    Start("a", "m"), TextDelta(0, "hi"),
    ToolCallStart(0, 0, "c1", "one"), ToolArgumentsDelta(0, 0, "{}"), ToolCallEnd(0, 0),
    TextDelta(0, "you"),
    ToolCallStart(0, 1, "c2", "two"), ToolCallStart(1, 0, "c3", "three"),
    ToolArgumentsDelta(0, 1, '{"a":'), ToolArgumentsDelta(1, 0, "{}"), ToolCallEnd(1, 0),
    TextDelta(1, "all"), ToolArgumentsDelta(0, 1, "1}"), ToolCallEnd(0, 1),
    Finish(0, "tool_calls"), Finish(1, "tool_calls"),
]  # fmt: skip
NONE_OPEN = {0, 1, 2, 5, 6, 14, 15, 16}


@pytest.mark.parametrize(
    "last", [Broken("F14"), UpstreamError("upstream_error", "x", None)], ids=["broken", "error"]
)
@pytest.mark.parametrize("size", [1, len(ANSWER) + 1], ids=["alone", "together"])
@pytest.mark.parametrize(
    ("name", "before_verdict"), [("other", 16), ("one", 4), ("two", 13), ("three", 10)]
)
def test_a_call_that_breaks_off_is_not_seen(
    last: Event, size: int, name: str, before_verdict: int
) -> None:
    """Nor what came while it was open: no rule has judged it, whether it would pass or not."""
    for cut in range(before_verdict + 1):
        gate = ToolGate(Guarding(KeyRules([rule("refuse", name)])))
        events = [*ANSWER[:cut], last]
        sent: list[Event] = []
        for at in range(0, len(events), size):
            sent += gate.pass_(events[at : at + size])
        whole = max(count for count in NONE_OPEN if count <= cut)
        assert sent == [*ANSWER[:whole], last]
        assert gate.pass_([]) == []


@by_dialect
def test_a_client_sees_no_call_that_its_provider_broke_off(dialect: str) -> None:
    way = Way(dialect, [rule("refuse", NAME, ("/city", "Paris"))])
    start, call, *pieces, _, _, _, _ = call_of(pieces_of('{"city": "Paris"}', 4))
    text = TextDelta(0, "hello")
    sent = way.feed(way.upstream([start, text, call, *pieces[:-1]])) + way.end()
    assert way.broken
    shown = spoken(dialect, sent)
    assert (shown.text, shown.calls) == ("hello", [])
    assert b"c1" not in sent
    assert b"Paris" not in sent


async def test_a_whole_answer_is_refused_or_passes() -> None:
    events = call_of(pieces_of('{"city": "Paris"}', 4))
    with pytest.raises(GuardRefused) as refused:
        await GuardedAnswer(Guarding(KeyRules([rule("ask")]))).whole(events)
    assert refused.value.code == "approval_required"
    allowed = GuardedAnswer(Guarding(KeyRules([rule("refuse", "other")])))
    assert fold(await allowed.whole(events)) == fold(events)
    flagging = Guarding(KeyRules([rule("refuse", action="flag")]))
    assert fold(await GuardedAnswer(flagging).whole(events)) == fold(events)
    assert flagging.flags[0] == "guard:own"


@by_dialect
def test_texts_are_as_without_a_firewall(dialect: str) -> None:
    sent, way = streamed(dialect, [rule("refuse", "*")], answer_of(pieces_of("Hello you", 2)))
    assert not way.refused
    assert SPEAKERS[dialect].streamed(sent).text == "Hello you"


def check_request(rules: list[GuardRule], body: dict[str, Any]) -> None:
    Guarding(KeyRules(rules)).check_request(read_body(json.dumps(body).encode()))


@by_dialect
def test_a_declared_tool_is_refused(dialect: str) -> None:
    body = SPEAKERS[dialect].body("m", Wish("hello", tools=True))
    with pytest.raises(GuardRefused, match="rejects the request"):
        check_request([rule("refuse")], body)
    check_request([rule("refuse", "other*")], body)
    check_request([rule("ask")], body)
    check_request([rule("refuse", NAME, ("/city", "Paris"))], body)


@by_dialect
def test_calls_and_results_of_earlier_turns_are_judged(dialect: str) -> None:
    speaker = SPEAKERS[dialect]
    sent, _ = streamed(dialect, [], call_of(pieces_of('{"city": "Paris"}', 5)))
    body = speaker.body("m", Wish("hello", tools=True))
    body = speaker.follow(body, speaker.streamed(sent), ['{"name": "x", "input": 1}'])
    for place in ("tool_call", "tool_result"):
        with pytest.raises(GuardRefused):
            check_request([rule("refuse", NAME, ("/city", "Paris"), places=[place])], body)
        check_request([rule("refuse", NAME, ("/city", "Rome"), places=[place])], body)
        # Nothing within arguments or results is taken for a call.
        check_request([rule("refuse", "x", places=[place])], body)


def test_a_tool_that_a_provider_runs_is_refused_by_its_kind() -> None:
    bodies: list[dict[str, Any]] = [
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": [{"functionDeclarations": [{"name": "web_search"}]}]},
        {"tools": [{"web_search": {}}]},
        {"functions": [{"name": "web_search"}]},
    ]
    for body in bodies:
        with pytest.raises(GuardRefused):
            check_request([rule("refuse", "web_search")], body)


@pytest.mark.parametrize("dialect", UPSTREAMS)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_call_of_a_model_is_refused_through_the_hub(
    guarded_hub: GuardedHub, fake: FakeUpstream, dialect: str, stream: bool
) -> None:
    hub = guarded_hub.hub
    model = hub.model(fake, **UPSTREAMS[dialect])
    speaker = SPEAKERS[dialect]
    refusing = {
        "guard": "tool", "settings": {"rules": [{"name": NAME, "decision": "ask"}]},
        "places": ["tool_call"], "action": "refuse", "code": "own",
    }  # fmt: skip
    tenant = guarded_hub.tenant(refusing)
    body = speaker.body(model, Wish("#tokens=4 #tools=1 weather?", stream, tools=True))
    answer = hub.post(tenant, body, path=speaker.path(model, stream=stream))
    if stream and answer.status == 200:
        spoken = speaker.read(answer)
        assert (spoken.whole, spoken.calls) == (False, [])
        assert "approval_required" in str(spoken.error)
    else:
        assert answer.status == 400, answer.body
        assert "approval_required" in str(speaker.error_of(answer.json()))
    hub.settled(tenant)
    record = hub.record(answer.headers["x-request-id"])
    assert (record["status"], record["kind"]) == (400, "guard_refused")
    assert record["charge_nano"] > 0
