"""Comparing answers: how many at once, differing words, and rankings by wins."""

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from math import sqrt
from typing import Final, Literal, NamedTuple

COLUMNS_MAX: Final = 4
"""The maximum number of models side by side."""
_WORDS: Final = re.compile(r"\s+|[^\s]+")
_WORDS_MAX: Final = 20_000
_Z: Final = 1.96


class DiffPart(NamedTuple):
    """A run of words that is in both texts, or only in the first or the second one."""

    kind: Literal["same", "first", "second"]
    text: str


def word_difference(first: str, second: str) -> list[DiffPart]:
    """Return the differences between the texts, word by word."""
    first_words = _WORDS.findall(first)[:_WORDS_MAX]
    second_words = _WORDS.findall(second)[:_WORDS_MAX]
    pieces = []
    # autojunk is a heuristic that ignores frequent words.
    matcher = SequenceMatcher(None, first_words, second_words, autojunk=len(first_words) > 2_000)
    for tag, start, end, second_start, second_end in matcher.get_opcodes():
        if tag == "equal":
            pieces.append(DiffPart("same", "".join(first_words[start:end])))
            continue
        if start < end:
            pieces.append(DiffPart("first", "".join(first_words[start:end])))
        if second_start < second_end:
            pieces.append(DiffPart("second", "".join(second_words[second_start:second_end])))
    return pieces


MEASURES: Final = ("charge_nano", "ttft_ms", "total_ms")
"""The measures by which the answers to one question are compared, one by one. The lowest value is
the best."""


def lowest(figures: Iterable[int | None]) -> int | None:
    """Return the lowest of at least two figures, or None if fewer are known or all are equal."""
    known = [figure for figure in figures if figure is not None]
    return min(known) if len(set(known)) > 1 else None


class Ranking(NamedTuple):
    """The ranking of a model, which won `wins` of the `votes` comparisons that it took part in.
    `low` and `high` are the 95 % interval of its rate (Wilson), in percent."""

    model: str
    wins: int
    votes: int
    rate: int
    low: int
    high: int


def rank_models(votes: Iterable[tuple[Sequence[str], str]]) -> list[Ranking]:
    """Rank the models by wins, best first. A vote is (the models, the winner or ""); one on a
    model beside itself does not count."""
    counts: dict[str, list[int]] = {}
    for models, winner in votes:
        compared = set(models)
        for model in compared if len(compared) > 1 else ():
            count = counts.setdefault(model, [0, 0])
            count[0] += model == winner
            count[1] += 1
    rows = [_rank_model(model, wins, votes) for model, (wins, votes) in counts.items()]
    return sorted(rows, key=lambda row: (-row.low, -row.rate, row.model))


def _rank_model(model: str, wins: int, votes: int) -> Ranking:
    share = wins / votes
    square = _Z * _Z / votes
    middle = (share + square / 2) / (1 + square)
    reach = _Z * sqrt(share * (1 - share) / votes + square / (4 * votes)) / (1 + square)
    rates = [round(100 * max(0.0, min(1.0, at))) for at in (share, middle - reach, middle + reach)]
    return Ranking(model, wins, votes, *rates)
