"""A quantile of a histogram."""

import pytest

from gateway.health.figures import quantile_of


@pytest.mark.parametrize(
    ("counts", "per_cent", "value"),
    [
        ((), 50, None),
        ((0, 0), 50, None),
        ((10, 10), 50, 50),
        ((0, 10), 50, 150),
        ((5, 10), 50, 100),
        ((5, 10), 95, 190),
        ((10, 10), 95, 95),
    ],
)
def test_quantile(counts: tuple[int, ...], per_cent: int, value: int | None) -> None:
    assert quantile_of(counts, (100, 200)[: len(counts)], per_cent) == value
