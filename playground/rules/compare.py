"""Comparing answers: words that differ, who won how often."""

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from math import sqrt
from typing import Final, Literal, NamedTuple

_WORDS: Final = re.compile(r"\s+|[^\s]+")
_WORDS_MAX: Final = 20_000
_Z: Final = 1.96


class Piece(NamedTuple):
    """A run of words: in both, or only in the first or the second text."""

    kind: Literal["same", "first", "second"]
    text: str


def word_difference(first: str, second: str) -> list[Piece]:
    """The second text against the first, word by word."""
    one, other = _WORDS.findall(first)[:_WORDS_MAX], _WORDS.findall(second)[:_WORDS_MAX]
    pieces = []
    # autojunk is a guess that takes frequent words for noise.
    matcher = SequenceMatcher(None, one, other, autojunk=len(one) > 2_000)
    for word, start, end, other_start, other_end in matcher.get_opcodes():
        if word == "equal":
            pieces.append(Piece("same", "".join(one[start:end])))
            continue
        if start < end:
            pieces.append(Piece("first", "".join(one[start:end])))
        if other_start < other_end:
            pieces.append(Piece("second", "".join(other[other_start:other_end])))
    return pieces


class Standing(NamedTuple):
    """How a model did: in `votes` comparisons it took part, `wins` of them it won. `low` and `high`
    are the 95 % interval of its rate (Wilson), in per cent."""

    model: str
    wins: int
    votes: int
    rate: int
    low: int
    high: int


def standings(votes: Iterable[tuple[Sequence[str], str]]) -> list[Standing]:
    """Who won how often, best first. A vote is (the models, the winner or "")."""
    counts: dict[str, list[int]] = {}
    for models, winner in votes:
        for model in set(models):
            count = counts.setdefault(model, [0, 0])
            count[0] += model == winner
            count[1] += 1
    found = [_standing(model, wins, votes) for model, (wins, votes) in counts.items()]
    return sorted(found, key=lambda one: (-one.low, -one.rate, one.model))


def _standing(model: str, wins: int, votes: int) -> Standing:
    share = wins / votes
    square = _Z * _Z / votes
    middle = (share + square / 2) / (1 + square)
    reach = _Z * sqrt(share * (1 - share) / votes + square / (4 * votes)) / (1 + square)
    rates = [round(100 * max(0.0, min(1.0, at))) for at in (share, middle - reach, middle + reach)]
    return Standing(model, wins, votes, *rates)
