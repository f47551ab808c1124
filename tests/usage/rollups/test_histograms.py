"""Histograms of times: merging is adding, and no quantile is further off than is said."""

from bisect import bisect_right
from collections import Counter
from decimal import Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from usage.rollups.histograms import _DIGITS, BOUNDS, ERROR_PER_CENT, quantiles_of

MS = st.integers(0, BOUNDS[-1])
SHARES = (1, 50, 95, 99, 100)


def histogram(times: list[int]) -> str:
    """As Postgres writes it, but for the zeros before it."""
    counts = Counter(bisect_right(BOUNDS, ms) for ms in times)
    return "".join(f"{counts[bucket]:0{_DIGITS}}" for bucket in range(len(BOUNDS), -1, -1))


@given(st.lists(MS, min_size=1), st.lists(MS))
def test_a_merged_quantile_is_that_of_all_times(some: list[int], others: list[int]) -> None:
    ordered = sorted(some + others)
    with localcontext(prec=_DIGITS * (len(BOUNDS) + 1)):
        merged = Decimal(histogram(some)) + Decimal(histogram(others))
    quantiles = quantiles_of(f"{merged:f}", SHARES)
    for share, got in zip(SHARES, quantiles, strict=True):
        exact = ordered[-(-len(ordered) * share // 100) - 1]
        assert abs(got - exact) * 100 <= exact * ERROR_PER_CENT


def test_empty_histogram_has_no_quantile() -> None:
    assert quantiles_of("0", SHARES) == []


def test_duration_above_a_day_counts_as_a_day() -> None:
    assert quantiles_of(histogram([10**9]), (50,)) == [BOUNDS[-1]]
