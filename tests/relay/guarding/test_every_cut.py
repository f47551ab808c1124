"""P40: a text that arrives in pieces, cut at every place, in every dialect: what a client gets of
it is the same, and no part of what a guard stops is in it."""

import json
from itertools import pairwise
from typing import Any

import pytest

from content.guards.rules import GuardRule, Place
from dialects.chat.events import (
    End,
    Event,
    Finish,
    ReasoningDelta,
    Start,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallEnd,
    ToolCallStart,
)
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS
from relay.guarding.guarded_answer import GuardedAnswer, Refused
from relay.guarding.guarding import Guarding
from relay.guarding.rule_set import KeyRules
from tests.relay.speakers import SPEAKERS, Wish

ADDRESS = "alice.liddell@example.com"
CORPUS = (
    f"Write to {ADDRESS} soon.",
    ADDRESS,
    f"Two: {ADDRESS}, {ADDRESS}",
    f"héllo 上海 🦆 <{ADDRESS}>",
    f"<EMAIL_1> is <EMAIL_ and {ADDRESS}",
)


def rules(action: Any, *places: Place) -> list[GuardRule]:
    return [GuardRule("email", {}, list(places), action, "own")]


def frames_of(dialect: str, guarding: Guarding, events: list[Event]) -> tuple[bytes, list[Event]]:
    """What a client of a dialect is sent of these events, each in a step of its own."""
    codec: Any = CODECS[dialect]  # type: ignore[index]
    speaker = SPEAKERS[dialect]
    body = speaker.body("m", Wish("hello", stream=True))
    target = Target("m", stream=True)
    facts = codec.read(json.dumps(body).encode(), target)
    encoder = codec.encoder(codec.decode(facts, target, "r", 0), target)
    guarded, sent, came = GuardedAnswer(guarding), b"", list[Event]()
    for event in events:
        shown, seen = guarded.change([event])
        came += seen
        for one in shown:
            sent += encoder.end() if isinstance(one, End) else encoder.feed(one)
    if came and isinstance(came[-1], Refused):
        sent += encoder.fail("guard_refused", came[-1].message)
    framing = codec.framing(lambda: 0)
    return sent if framing is None else framing.feed(sent), came


def pieces(text: str, cut: int) -> list[str]:
    """The text in two pieces, and for 0 in single characters."""
    return list(text) if cut == 0 else [text[:cut], text[cut:]]


def events_of(kind: type[Any], texts: list[str]) -> list[Event]:
    deltas: list[Event] = [kind(0, text) for text in texts]
    return [Start("a", "m"), *deltas, Finish(0, "stop"), End(marked=True)]


by_dialect = pytest.mark.parametrize("dialect", SPEAKERS)


@by_dialect
@pytest.mark.parametrize("kind", [TextDelta, ReasoningDelta])
@pytest.mark.parametrize("text", CORPUS)
def test_a_masked_answer_is_the_same_for_every_cut(
    dialect: str, kind: type[Any], text: str
) -> None:
    results = set()
    for cut in range(len(text)):
        sent, came = frames_of(
            dialect, Guarding(KeyRules(rules("mask", "answer"))), events_of(kind, pieces(text, cut))
        )
        assert b"liddell" not in sent
        assert b"alice" not in sent
        spoken = SPEAKERS[dialect].streamed(sent)
        results.add(spoken.text if kind is TextDelta else spoken.reasoning)
        assert not any(isinstance(event, Refused) for event in came)
    assert len(results) == 1
    (only,) = results
    assert only == text.replace(ADDRESS, "<EMAIL_1>") or "EMAIL" in only


@by_dialect
@pytest.mark.parametrize("text", CORPUS)
def test_a_refused_answer_says_no_part_of_it(dialect: str, text: str) -> None:
    for cut in range(len(text)):
        sent, came = frames_of(
            dialect,
            Guarding(KeyRules(rules("refuse", "answer"))),
            events_of(TextDelta, pieces(text, cut)),
        )
        assert b"alice" not in sent
        assert isinstance(came[-1], Refused)
        spoken = SPEAKERS[dialect].streamed(sent)
        assert spoken.error is not None
        assert not spoken.whole
        assert text.split(ADDRESS)[0].startswith(spoken.text)


@by_dialect
def test_what_was_masked_comes_back_for_every_cut(dialect: str) -> None:
    text = "Say <EMAIL_1>, <EMAIL_1> and <EMAIL_2>"
    for cut in range(len(text)):
        guarding = Guarding(KeyRules(rules("mask", "request")))
        assert guarding.check_text("request", ADDRESS) == "<EMAIL_1>"
        sent, _ = frames_of(dialect, guarding, events_of(TextDelta, pieces(text, cut)))
        assert SPEAKERS[dialect].streamed(sent).text == f"Say {ADDRESS}, {ADDRESS} and <EMAIL_2>"


# As JSON may write it.
ARGUMENTS = (
    '{"to":"alice.liddell@example.com"}',
    '{"to":"alice.liddell\\u0040example.com","cc":["alice.liddell@example.com"]}',
)


@by_dialect
@pytest.mark.parametrize("text", ARGUMENTS)
@pytest.mark.parametrize("action", ["mask", "refuse"])
def test_arguments_of_a_call_are_guarded_for_every_cut(
    dialect: str, text: str, action: str
) -> None:
    for cut in range(len(text)):
        deltas = [ToolArgumentsDelta(0, 0, piece) for piece in pieces(text, cut)]
        events = [
            Start("a", "m"), ToolCallStart(0, 0, "c1", "send"), *deltas, ToolCallEnd(0, 0),
            Finish(0, "tool_calls"), End(marked=True),
        ]  # fmt: skip
        sent, came = frames_of(dialect, Guarding(KeyRules(rules(action, "tool_call"))), events)
        assert b"liddell" not in sent
        if action == "mask":
            (call,) = SPEAKERS[dialect].streamed(sent).calls
            assert call.arguments["to"] == "<EMAIL_1>"
        else:
            assert isinstance(came[-1], Refused)


def test_an_original_is_escaped_in_arguments() -> None:
    guarding = Guarding(KeyRules(rules("mask", "request")))
    guarding.masks.placeholder("KEY", 'a"b\nc', guarding.rules.pure[0])
    text = '{"key":"<KEY_1>"}'
    for before, after in pairwise(range(len(text))):
        guarded = GuardedAnswer(guarding)
        cuts = [text[:before], text[before:after], text[after:]]
        deltas: list[Event] = [ToolArgumentsDelta(0, 0, piece) for piece in cuts if piece]
        shown, _ = guarded.change([*deltas, ToolCallEnd(0, 0)])
        joined = "".join(one.text for one in shown if isinstance(one, ToolArgumentsDelta))
        assert joined == '{"key":"a\\"b\\nc"}'


def test_nothing_follows_a_text_that_is_refused_at_its_end() -> None:
    """What is refused may need its end to be found: text of another kind ends it."""
    guarded = GuardedAnswer(Guarding(KeyRules(rules("refuse", "answer"))))
    shown, came = guarded.change(
        [ReasoningDelta(0, f"Write to {ADDRESS}"), TextDelta(0, "The answer "), TextDelta(0, "is")]
    )
    assert isinstance(came[-1], Refused)
    texts = [one.text for one in shown if isinstance(one, TextDelta | ReasoningDelta)]
    assert "".join(texts) == "Write to "
