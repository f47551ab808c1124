"""Answers word by word, and who won how often."""

from itertools import permutations
from typing import Any

import pytest

from playground.compare.rules import MEASURES, DiffPart, lowest, rank_models, word_difference
from playground.compare_page.compare import results
from playground.models import Run, RunState


def test_differing_words() -> None:
    assert word_difference("the old river", "the new river bed") == [
        DiffPart("same", "the "),
        DiffPart("first", "old"),
        DiffPart("second", "new"),
        DiffPart("same", " river"),
        DiffPart("second", " bed"),
    ]
    for first, second in (("", ""), ("a b", ""), ("a  b\n", "b a")):
        pieces = word_difference(first, second)
        assert "".join(piece.text for piece in pieces if piece.kind != "second") == first
        assert "".join(piece.text for piece in pieces if piece.kind != "first") == second


def test_rates_have_their_interval_and_the_best_stands_first() -> None:
    votes = [(("a", "b"), "a")] * 8 + [(("a", "b"), "b")] * 2 + [(("a", "c"), "")]
    a, b, c = rank_models(votes)
    assert (a.model, a.wins, a.votes, a.rate) == ("a", 8, 11, 73)
    assert a.low < a.rate < a.high
    assert (b.model, b.wins, b.votes, b.rate) == ("b", 2, 10, 20)
    assert (c.model, c.wins, c.votes) == ("c", 0, 1)
    # A model beside itself wins against nobody.
    assert rank_models([(("a", "a"), "a")]) == rank_models([]) == []


def test_best_is_named_if_one_is_better() -> None:
    assert lowest([3, 1, None, 1]) == 1
    for figures in ([], [None, None], [2], [2, None], [2, 2, 2]):
        assert lowest(figures) is None


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_only_finished_answers_are_the_best(order: tuple[int, ...]) -> None:
    """One that was stopped, failed or has no figure is faster and cheaper, and not marked."""
    runs = [
        Run(state=RunState.DONE, outcome=_outcome(900, 9_000, 70), model="slow"),
        Run(state=RunState.DONE, outcome=_outcome(100, 1_000, 20), model="quick"),
        Run(state=RunState.STOPPED, outcome=_outcome(1, 2, 0), model="stopped"),
        Run(state=RunState.FAILED, outcome=None, model="failed"),
    ]
    batch = [runs[place] for place in order]
    for column, run in enumerate(batch):
        run.column = column
    best = {one.model: one.best_by for one in results(batch)}
    assert best == {"slow": (), "quick": tuple(MEASURES), "stopped": (), "failed": ()}


def _outcome(ttft_ms: int, total_ms: int, charge_nano: int) -> dict[str, Any]:
    return {"ttft_ms": ttft_ms, "total_ms": total_ms, "charge_nano": charge_nano, "meters": {}}
