"""A draw from the cells of a matrix: few of them, and yet any two values that meet somewhere meet.

The suite asks what is drawn; the whole matrix stands in the slow lane (`make chaos`).
"""

import heapq
import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import combinations
from typing import Final, TypeVar

import pytest

Cell = TypeVar("Cell")
_SEED: Final = 7


def draw_pairs(
    cells: Mapping[str, Cell], values_of: Callable[[Cell], Sequence[Hashable]]
) -> frozenset[str]:
    """The names of some cells: each pair of values of any cell is that of a drawn one too.

    Greedy: next comes who brings most pairs that are missing. The draw is always the same.
    """
    pairs = {name: set(combinations(enumerate(values_of(cell)), 2)) for name, cell in cells.items()}
    names = list(cells)
    random.Random(_SEED).shuffle(names)
    missing = set().union(*pairs.values())
    drawn = set[str]()
    # How much a cell brings only falls: who leads when it is counted again is the best there is.
    best = [(-len(pairs[name]), at) for at, name in enumerate(names)]
    heapq.heapify(best)
    while missing:
        _, at = heapq.heappop(best)
        brings = len(pairs[names[at]] & missing)
        if best and -brings > best[0][0]:
            heapq.heappush(best, (-brings, at))
            continue
        drawn.add(names[at])
        missing -= pairs[names[at]]
    return frozenset(drawn)


def slow_unless(drawn: bool) -> Sequence[pytest.MarkDecorator]:
    """The marks of a cell."""
    return () if drawn else (pytest.mark.slow,)
