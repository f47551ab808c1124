"""P40: for every cut of every text, what goes out together equals what goes out of the whole text,
and no forbidden span leaves, whole or in part."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.detectors.registry import make_detectors
from content.guards.guard import Held, Looking, check
from content.guards.masks import Masks
from content.guards.rules import Action, GuardRule
from tests.content.detectors.test_detectors import FALSE, NUMBERS, TRUE
from tests.content.guards.test_guard import streamed

EVERYTHING: list[tuple[str, dict[str, Any]]] = [
    ("email", {}),
    ("card", {}),
    ("iban", {}),
    ("telephone", {}),
    ("national_number", {"countries": list(NUMBERS)}),
    ("secret", {}),
    ("private_key", {}),
    ("words", {"words": ["falcon", "project falcon", "\u673a\u5bc6", "c++", "a b"]}),
    ("expressions", {"expressions": [r"\bEMP-\d{3,6}\b"]}),
    ("expressions", {"expressions": [r"ab(?:cd|c[^x]{1,3}e|.?f){1,3}g?"], "ignore_case": True}),
]


def rules_for(actions: tuple[Action, ...]) -> list[GuardRule]:
    return [
        GuardRule(guard, settings, ["answer"], actions[n % len(actions)], f"no_{guard}")
        for n, (guard, settings) in enumerate(EVERYTHING)
    ]


ACTIONS: list[tuple[Action, ...]] = [("mask",), ("refuse",), ("mask", "flag"), ("flag", "refuse")]
TEXTS: list[str] = [*(one[2] for one in TRUE), *(one[2] for one in FALSE)]


@pytest.mark.parametrize("actions", ACTIONS)
@pytest.mark.parametrize("text", TEXTS)
def test_p40_a_text_cut_anywhere(text: str, actions: tuple[Action, ...]) -> None:
    rules = rules_for(actions)
    whole = check(rules, "answer", text, Masks())
    for cut in range(len(text) + 1):
        assert streamed(rules, [text[:cut], text[cut:]]) == whole, cut
    assert streamed(rules, list(text)) == whole


PARTS = st.sampled_from(
    [
        *TEXTS,
        *NUMBERS.values(),
        *" \n.,-+@/\\<>1",
        "ab",
        "abc",
        "cde",
        "f",
        "g",
        "EMP-",
        "123",
        "sk-",
    ]
)


@given(
    st.lists(PARTS, max_size=6).map("".join),
    st.lists(st.integers(0, 400), max_size=8),
    st.sampled_from(ACTIONS),
)
def test_p40_a_drawn_text_cut_anywhere(
    text: str, cuts: list[int], actions: tuple[Action, ...]
) -> None:
    rules = rules_for(actions)
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[begin:end] for begin, end in itertools.pairwise(edges)]
    assert streamed(rules, pieces) == check(rules, "answer", text, Masks())


PIECES = st.sampled_from(
    [
        *(f" {word}" for word in ("a", "to", "DE", "sk", "word", "x" * 14, "x" * 15, "x" * 16)),
        *(" é", " 中", " ＤＥ", "ing", "89", " 89", "@x.com", ".com", ",", ". ", "", " ", "\n"),
        *("²", " ²", " ½", " Ⅷ", " _a", " (", "x" * 16, "\u00a0b", "  a"),
        *(" bob", "-", " 4111", " 1111", " AIza", " <b>", '"', " 3.14"),
    ]
)
SETS: list[list[str]] = [
    ["email", "card", "iban"],
    ["card", "iban", "secret"],
    ["card"],
    ["telephone", "national_number", "private_key"],
    [guard for guard, _ in EVERYTHING],
]


@given(st.lists(PIECES, max_size=30), st.sampled_from(SETS), st.sampled_from(ACTIONS))
def test_p40_a_word_after_words_is_let_out_as_if_it_were_searched(
    pieces: list[str], guards: list[str], actions: tuple[Action, ...]
) -> None:
    """Piece by piece: no more goes out than of a text of which each piece is searched, no less."""
    rules = [rule for rule in rules_for(actions) if rule.guard in guards]
    quick, plain = (Held(Looking(rules, "answer"), Masks()) for _ in range(2))
    plain._skips_words = False
    for piece in pieces:
        assert quick.feed(piece) == plain.feed(piece), piece
    assert quick.end() == plain.end()


@pytest.mark.parametrize(("guard", "settings"), EVERYTHING)
def test_only_an_address_may_begin_with_any_word(guard: str, settings: dict[str, Any]) -> None:
    held = Held(Looking([GuardRule(guard, settings, ["answer"], "mask", guard)], "answer"), Masks())
    assert held._words_wait == (guard == "email")


@pytest.mark.parametrize(("guard", "settings"), EVERYTHING)
def test_no_more_waits_than_the_longest_match(guard: str, settings: dict[str, Any]) -> None:
    """Nothing waits of a text in which no match can begin, and a match that has begun waits for no
    more than its longest form."""
    for one in make_detectors(guard, settings):
        assert one.open_from("She waits. ") == len("She waits. ")
        for text in TEXTS:
            long = text * 20
            assert len(long) - one.open_from(long) <= one.characters_max
