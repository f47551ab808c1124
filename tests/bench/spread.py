"""Medians, their spread over the rounds, and ratios that are taken round by round. Pure."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple


class Spread(NamedTuple):
    """The median of the rounds, and the lowest and highest of them."""

    median: float
    low: float
    high: float

    @property
    def wobble(self) -> float:
        """Half the distance from the lowest to the highest, as a share of the median."""
        return (self.high - self.low) / 2 / abs(self.median) if self.median else 0.0


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie, interpolated. ValueError if none.

    >>> quantile([1, 2, 3, 4], 0.5)
    2.5
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    below = int(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)


def median(values: Sequence[float]) -> float:
    return quantile(values, 0.5)


def spread(rounds: Sequence[float]) -> Spread:
    """ValueError when there is no round."""
    return Spread(median(rounds), min(rounds), max(rounds))


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """How many times `below` goes into `above`: of each round with itself, for what disturbs a
    machine disturbs all that is measured in that minute. ValueError when the rounds do not pair.
    """
    return spread([one / other for one, other in zip(above, below, strict=True)])


def difference(above: Sequence[float], below: Sequence[float]) -> Spread:
    """`above` less `below`, round by round."""
    return spread([one - other for one, other in zip(above, below, strict=True)])


def slopes(sizes: Sequence[float], costs: Sequence[float]) -> list[float]:
    """The cost of one more unit between each size and the next; a constant cost has equal slopes.

    >>> slopes([1, 11, 111], [5.0, 25.0, 225.0])
    [2.0, 2.0]
    """
    pairs = list(zip(sizes, costs, strict=True))
    return [
        (cost - cost_before) / (size - size_before)
        for (size_before, cost_before), (size, cost) in pairwise(pairs)
    ]
