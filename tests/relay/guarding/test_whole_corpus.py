"""P40: each of the 2,000 planted texts, in each dialect, in streams that are cut everywhere.

    in the text    the model's own pieces end at each character in turn: a guard sees two halves.
                   The dialects take turns, for guards do not know of them
    in the bytes   the network's pieces end at each byte in turn: a frame arrives in two halves

A text that is planted in the result of a tool comes in a request, never in a stream; here it is in
the arguments of a call, as a model may write it.

Streams of bytes are cut at every 31st byte, from each of the first 31 on: so each byte ends a piece
once, and what a client gets is the same, byte for byte. Each stream also breaks off at 31 bytes. In
`test_planted.py`, streams of some texts are cut in two, and break off, at each byte.
"""

import json
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any, Final

import pytest
from msgspec import structs

from content.guards.guard import check
from content.guards.masks import Masks
from content.guards.rules import GuardRule, refusal_text
from dialects.chat.events import Event
from tests.content.corpus.planted import PLANTED, Planted
from tests.relay.guarding.way import (
    Way,
    answer_of,
    call_of,
    pieces_of,
    spoken,
    strings_in,
)
from tests.relay.speakers import SPEAKERS

PARTS: Final = 8
APART: Final = 31
ACTIONS: Final = ("mask", "refuse")
QUICK: Final = 50
DIALECTS: Final = tuple(SPEAKERS)
by_dialect = pytest.mark.parametrize("dialect", SPEAKERS)
by_part = pytest.mark.parametrize("part", range(PARTS))


def _as_written(one: Planted) -> Planted:
    """The text as a stream has it: arguments are an object."""
    if one.place == "answer" or one.text.startswith("{"):
        return one
    return one._replace(text=f'{{"v": {one.text}}}')


CORPUS: Final = [_as_written(one) for one in PLANTED]


def _rules(one: Planted, action: str) -> list[GuardRule]:
    place = "answer" if one.place == "answer" else "tool_call"
    return [structs.replace(rule, places=[place]) for rule in one.rules(action)]


def _events(one: Planted, deltas: Sequence[str]) -> list[Event]:
    return answer_of(deltas) if one.place == "answer" else call_of(deltas)


@cache
def _strings_of_any(dialect: str) -> set[str]:
    """What streams contain whatever their text is, such as ids."""
    known = set[str]()
    rules = [GuardRule("words", {"words": ["no"]}, ["answer"], "refuse", "words")]
    for events in (answer_of(["?"]), call_of(['{"?": "?"}']), answer_of(["no"])):
        way = Way(dialect, rules)
        known.update(strings_in(way.feed(way.upstream(events)) + way.end()))
    return known


def _forms(one: Planted) -> list[Planted]:
    """What is planted in JSON as it stands there, and as it reads."""
    if one.place == "answer":
        return [one]
    read = json.loads(f'"{one.secret}"')
    return [one, one._replace(secret=read, text=one.text.replace(one.secret, read))]


def leaks(dialect: str, one: Planted, sent: bytes) -> set[str]:
    """The parts of what is planted that are anywhere in these bytes."""
    (rule,) = _rules(one, "refuse")
    refusal = refusal_text(rule, rule.places[0], rule.code)
    any_has = {rule.code, *_strings_of_any(dialect)}
    texts = [text for text in strings_in(sent) if text not in any_has and refusal not in text]
    # The pieces of a text may be too short to tell.
    texts.append("".join(texts))
    return set[str]().union(*(form.leaks(text) for form in _forms(one) for text in texts))


def assert_cut_in_bytes(dialect: str, one: Planted, deltas: int) -> int:
    """Return how many cuts there are."""
    unguarded = Way(dialect, [])
    raw = unguarded.upstream(_events(one, pieces_of(one.text, -(-len(one.text) // deltas))))
    told = all(form.leaks(form.text) for form in _forms(one))
    assert leaks(dialect, one, unguarded.feed(raw)) or not told, one
    expected = {}
    for action in ACTIONS:
        way = Way(dialect, _rules(one, action))
        expected[action] = way.feed(raw) + way.end()
        assert (way.refused, way.broken) == (action == "refuse", False), one
        assert not leaks(dialect, one, expected[action]), (one, expected[action])
    for first in range(APART):
        action = ACTIONS[first % 2]
        way, broken = Way(dialect, _rules(one, action)), Way(dialect, _rules(one, action))
        cuts = [0, *range(first, len(raw), APART), len(raw)]
        sent = b"".join(way.feed(raw[begin:end]) for begin, end in pairwise(cuts)) + way.end()
        assert sent == expected[action], (one, first)
        rest = broken.feed(raw[: len(raw) * first // APART]) + broken.end()
        assert sent.startswith(rest) or not leaks(dialect, one, rest), (one, first)
    return len(raw)


def assert_cut_in_text(one: Planted, first: int) -> int:
    """Return how many cuts there are. The dialects take turns, from the `first` on."""
    for action in ACTIONS:
        rules = _rules(one, action)
        expected: dict[str, Any] = {}
        for cut in range(len(one.text)):
            dialect = DIALECTS[(first + cut) % len(DIALECTS)]
            way = Way(dialect, rules)
            raw = way.upstream(_events(one, [one.text[:cut], one.text[cut:]]))
            sent = way.feed(raw) + way.end()
            assert (way.refused, way.broken) == (action == "refuse", False), (one, cut)
            answer = spoken(dialect, sent)
            read = answer.text, [call.arguments for call in answer.calls]
            if dialect not in expected:
                expected[dialect] = read
                assert not leaks(dialect, one, sent), (one, sent)
                if one.place == "answer":
                    assert answer.text == check(rules, "answer", one.text, Masks()).text
            assert read == expected[dialect], (one, cut)
    return len(one.text)


@by_dialect
def test_p40_some_planted_texts_in_a_stream_cut_anywhere(dialect: str) -> None:
    for n, one in enumerate(CORPUS[::QUICK]):
        if len(one.text) < 100:
            assert_cut_in_bytes(dialect, one, n % 5 + 2)


@pytest.mark.parametrize("n", range(len(CORPUS))[::QUICK])
def test_p40_a_planted_text_in_a_stream_cut_at_every_character(n: int) -> None:
    if len(CORPUS[n].text) < 100:
        assert_cut_in_text(CORPUS[n], n)


@pytest.mark.slow
@by_dialect
@by_part
def test_p40_every_planted_text_in_a_stream_cut_at_every_byte(dialect: str, part: int) -> None:
    for n, one in enumerate(CORPUS[part::PARTS]):
        assert_cut_in_bytes(dialect, one, n % 5 + 2)


@pytest.mark.slow
@by_part
def test_p40_every_planted_text_in_a_stream_cut_at_every_character(part: int) -> None:
    for n, one in enumerate(CORPUS[part::PARTS]):
        assert_cut_in_text(one, n)
