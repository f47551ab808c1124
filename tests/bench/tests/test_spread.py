import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench import report, spread, targets
from tests.bench.spread import Spread

_rounds = st.lists(st.floats(0.1, 1e6), min_size=1, max_size=9)


@pytest.mark.parametrize("module", [report, spread, targets])
def test_examples_are_correct(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted > 0
    assert result.failed == 0


def test_a_quantile_lies_between_its_neighbours() -> None:
    assert spread.quantile([10, 30, 20], 0) == 10
    assert spread.quantile([10, 30, 20], 1) == 30
    assert spread.quantile([10, 30, 20], 0.75) == 25
    with pytest.raises(ValueError, match="no values"):
        spread.quantile([], 0.5)


@given(_rounds)
def test_a_spread_holds_its_median(rounds: list[float]) -> None:
    result = spread.spread(rounds)
    assert result.low <= result.median <= result.high
    assert result.low in rounds
    assert result.high in rounds


@given(_rounds, st.floats(0.1, 10))
def test_slowdown_of_both_sides_leaves_the_ratio(rounds: list[float], disturbed: float) -> None:
    other = [value * 2 for value in rounds]
    slowed = [rounds[0] * disturbed, *rounds[1:]], [other[0] * disturbed, *other[1:]]
    assert spread.ratio(slowed[1], slowed[0]).median == pytest.approx(2)


def test_unpaired_rounds_are_rejected() -> None:
    with pytest.raises(ValueError, match="zip"):
        spread.ratio([1, 2], [1])
    with pytest.raises(ValueError, match="zip"):
        spread.difference([1], [1, 2])


def test_difference_is_taken_per_round() -> None:
    assert spread.difference([5, 9, 30], [1, 1, 1]) == Spread(8, 4, 29)
    assert Spread(8, 4, 28).wobble == 1.5


def test_a_constant_cost_has_equal_slopes() -> None:
    sizes = [16, 256, 4096]
    assert spread.slopes(sizes, [700 + 3 * size for size in sizes]) == [3, 3]
    first, last = spread.slopes(sizes, [size * size for size in sizes])
    assert last > first
