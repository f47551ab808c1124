"""P40: of 2,000 texts that contain what a guard must stop, nothing of it gets out: whole texts, and
texts that arrive in pieces, cut everywhere.

The texts are those of `planted.py`. Of what a guard masks, no part is left (`Planted.leaks`); of
what a guard refuses, the text before it is all that goes out. What the corpus leaves out, guards do
not promise: other encodings (Base64, percent signs other than `%40` and `%2B`), invisible
characters between letters, digits as words, and numbers in single digits.
"""

from itertools import pairwise

import pytest

from content.guards.guard import Checked, Held, Looking, check
from content.guards.masks import Masks
from tests.content.corpus.planted import COUNT, PLANTED, Planted
from tests.content.guards.test_guard import streamed

ANSWERS = [one for one in PLANTED if one.place == "answer"]
QUICK = ANSWERS[::40]


def test_the_corpus_has_its_size_and_every_guard() -> None:
    assert len(PLANTED) == COUNT
    assert len({one.text for one in PLANTED}) > COUNT * 0.95
    assert {one.guard for one in PLANTED} == {
        "email", "card", "iban", "telephone", "national_number", "secret", "private_key",
    }  # fmt: skip
    assert all(one.leaks(one.text) for one in PLANTED if one.guard != "email")


def test_p40_nothing_planted_gets_out_of_a_whole_text() -> None:
    leaked = [
        (one.guard, one.text, out)
        for one in ANSWERS
        if one.leaks(out := check(one.rules("mask"), "answer", one.text, Masks()).text)
    ]
    assert leaked == []


def test_p40_a_refused_text_ends_before_what_is_planted() -> None:
    for one in ANSWERS:
        out = check(one.rules("refuse"), "answer", one.text, Masks())
        assert out.refused_by, one
        assert one.before.startswith(out.text), one


def _assert_cut_anywhere(one: Planted, step: int) -> None:
    for action in ("mask", "refuse"):
        rules = one.rules(action)
        whole = check(rules, "answer", one.text, Masks())
        for cut in range(0, len(one.text) + 1, step):
            assert streamed(rules, [one.text[:cut], one.text[cut:]]) == whole, (one, cut)
        assert streamed(rules, list(one.text)) == whole, one


@pytest.mark.parametrize("one", QUICK, ids=lambda one: one.guard)
def test_p40_a_planted_text_cut_anywhere(one: Planted) -> None:
    _assert_cut_anywhere(one, 1 if len(one.text) < 400 else 7)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(16))
def test_p40_every_planted_text_cut_anywhere(part: int) -> None:
    for one in ANSWERS[part::16]:
        _assert_cut_anywhere(one, 1)


@pytest.mark.parametrize("one", QUICK, ids=lambda one: one.guard)
def test_p40_nothing_planted_gets_out_of_a_text_that_breaks_off(one: Planted) -> None:
    """What went out before a break contains no part: there is no end that lets out the rest."""
    for piece in (1, 3):
        held = Held(Looking(one.rules("mask"), "answer"), Masks())
        edges = [*range(0, len(one.text), piece), len(one.text)]
        sent = ""
        for begin, end in pairwise(edges):
            out: Checked = held.feed(one.text[begin:end])
            sent += out.text
            assert not one.leaks(sent), (one, sent)
