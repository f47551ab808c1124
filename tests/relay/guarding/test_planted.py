"""P40: texts in which something is planted, on their way through the relay in each dialect: the
bytes of an upstream's stream, one by one, are decoded, guarded and encoded for the client."""

import json
import re
from typing import Any

import pytest
from msgspec import structs

from content.guards.guard import check
from content.guards.masks import Masks
from dialects.json.body import read_body
from relay.guarding.guarding import Guarding
from relay.guarding.refusals import GuardRefused
from relay.guarding.request_texts import check_json
from relay.guarding.rule_set import KeyRules
from tests.content.corpus.planted import PLANTED, Planted
from tests.relay.guarding.way import Way, answer_of, call_of, pieces_of, spoken
from tests.relay.speakers import SPEAKERS, Wish

SAMPLE = 40
ANSWERS = [one for one in PLANTED if one.place == "answer" and one.guard != "private_key"]
CALLS = [one for one in PLANTED if one.place == "tool_call"]
SHORT = [one for one in ANSWERS if len(one.text) < 100]
by_dialect = pytest.mark.parametrize("dialect", SPEAKERS)


def run_of(one: Planted) -> bytes:
    """The longest part of what is planted that no separator of groups cuts."""
    return max(re.findall("[0-9A-Za-z]+", one.secret), key=len, default="").encode()


def assert_nothing_in(one: Planted, sent: bytes) -> None:
    """No part is in the bytes as they are, and none in what a client reads."""
    run = run_of(one)
    assert len(run) < 6 or run not in sent, (one, sent)


@by_dialect
@pytest.mark.parametrize("action", ["mask", "refuse"])
def test_p40_nothing_planted_gets_out_of_a_stream_in_single_bytes(
    dialect: str, action: Any
) -> None:
    for n, one in enumerate(ANSWERS[:: len(ANSWERS) // SAMPLE][:SAMPLE]):
        way = Way(dialect, one.rules(action))
        raw = way.upstream(answer_of(pieces_of(one.text, n % 5 + 1)))
        sent = b"".join(way.feed(raw[at : at + 1]) for at in range(len(raw))) + way.end()
        assert_nothing_in(one, sent)
        assert not way.broken
        assert way.refused == (action == "refuse")
        whole = check(one.rules(action), "answer", one.text, Masks())
        assert spoken(dialect, sent).text == whole.text
        assert not one.leaks(whole.text)


def assert_cut_at(dialect: str, one: Planted, step: int) -> None:
    raw = Way(dialect, []).upstream(answer_of(pieces_of(one.text, 4)))
    expected = None
    for cut in range(0, len(raw) + 1, step):
        way = Way(dialect, one.rules("mask"))
        sent = way.feed(raw[:cut]) + way.feed(raw[cut:]) + way.end()
        expected = expected or sent
        assert sent == expected, cut
        broken = Way(dialect, one.rules("mask"))
        assert_nothing_in(one, broken.feed(raw[:cut]) + broken.end())
    assert_nothing_in(one, expected or b"")


@by_dialect
def test_p40_a_stream_cut_or_broken_off(dialect: str) -> None:
    assert_cut_at(dialect, SHORT[0], 13)


@pytest.mark.slow
@by_dialect
@pytest.mark.parametrize("part", range(SAMPLE))
def test_p40_a_stream_cut_or_broken_off_at_every_byte(dialect: str, part: int) -> None:
    assert_cut_at(dialect, SHORT[part * (len(SHORT) // SAMPLE)], 1)


@by_dialect
@pytest.mark.parametrize("action", ["mask", "refuse"])
def test_p40_nothing_planted_gets_out_of_the_arguments_of_a_call(dialect: str, action: Any) -> None:
    objects = [one for one in CALLS if one.text.startswith("{")]
    for n, one in enumerate(objects[:: len(objects) // SAMPLE][:SAMPLE]):
        way = Way(dialect, one.rules(action))
        raw = way.upstream(call_of(pieces_of(one.text, n % 5 + 1)))
        sent = b"".join(way.feed(raw[at : at + 7]) for at in range(0, len(raw), 7)) + way.end()
        assert_nothing_in(one, sent)
        assert way.refused == (action == "refuse")
        if action == "mask":
            (call,) = spoken(dialect, sent).calls
            assert not one.leaks(json.dumps(call.arguments, ensure_ascii=False))


def test_p40_nothing_planted_gets_out_of_arguments_and_results_of_tools() -> None:
    for one in PLANTED:
        if one.place == "answer":
            continue
        guarding = Guarding(KeyRules(one.rules("mask")))
        assert not one.leaks(check_json(one.text, one.place, guarding.check_text)), one
        with pytest.raises(GuardRefused):
            check_json(one.text, one.place, Guarding(KeyRules(one.rules("refuse"))).check_text)


@by_dialect
def test_p40_nothing_planted_leaves_in_a_request(dialect: str) -> None:
    for one in ANSWERS:
        rules = [structs.replace(rule, places=["request"]) for rule in one.rules("mask")]
        body = SPEAKERS[dialect].body("m", Wish(one.text))
        sent = json.loads(
            Guarding(KeyRules(rules)).check_request(read_body(json.dumps(body).encode()))
        )
        assert sent != body, one
        assert not one.leaks(_last_text(sent)), one


def _last_text(value: Any) -> str:
    """The last text of a request's turns."""
    turns = next(value[name] for name in ("messages", "input", "contents") if name in value)
    while not isinstance(turns, str):
        if isinstance(turns, list):
            turns = turns[-1]
        else:
            turns = next(turns[name] for name in ("content", "parts", "text") if name in turns)
    return turns
