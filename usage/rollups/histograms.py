"""Histograms of durations as numbers: adding two of them merges them exactly.

A duration falls into a bucket. The first buckets are one millisecond wide, later ones 4 %, up to a
day and beyond. A histogram is one number in which twelve decimal digits are the count of each
bucket, the first bucket in the last digits. It is stored as `numeric`, whose zeros at either end
take no space, so `sum` merges any number of them. Twelve digits do not overflow: a bucket would
need a million million durations. The decimal point is before the bucket of two seconds, because
Postgres processes all digits between the point and the used ones, and most durations are near two
seconds.

A quantile is the middle of its bucket. No duration of that bucket differs from it by more than
`ERROR_PER_CENT`.
"""

from bisect import bisect_right
from collections.abc import Sequence
from math import isqrt
from typing import Final

ERROR_PER_CENT: Final = 2
SHARES: Final = (50, 95, 99)
"""The reported percentiles, ascending: this share of 100 durations took no longer."""
SHARE_NAMES: Final = tuple(f"p{share}" for share in SHARES)

_DIGITS: Final = 12
_WIDTH_PER_CENT: Final = 4
_DAY_MS: Final = 24 * 60 * 60 * 1000


def _bounds() -> tuple[int, ...]:
    bounds = [1]
    while bounds[-1] < _DAY_MS:
        bounds.append(max(bounds[-1] + 1, bounds[-1] * (100 + _WIDTH_PER_CENT) // 100))
    return tuple(bounds)


BOUNDS: Final = _bounds()
"""The start of each bucket except the first, in milliseconds."""


_POINT: Final = bisect_right(BOUNDS, 2000)


def histogram_sql(column: str) -> str:
    """Return the expression for the histogram of one duration, a non-null column of milliseconds.
    These are summed."""
    bounds = ",".join(map(str, BOUNDS))
    bucket = f"width_bucket({column}, '{{{bounds}}}'::int[])"
    return f"('1e' || {_DIGITS} * ({bucket} - {_POINT}))::numeric"


def digits_sql(histogram: str) -> str:
    """Return the expression for the digits of a histogram in the form that `quantiles_of` reads."""
    return f"trunc({histogram} * '1e{_DIGITS * _POINT}'::numeric)::text"


def quantiles_of(histogram: str, per_cent: Sequence[int]) -> list[int]:
    """Return for each share the duration, in milliseconds, that this percentage does not exceed.
    Shares must be ascending. The result is empty for a histogram without durations. `histogram` is
    a text of digits: Python refuses to parse so long a number, and slices are faster."""
    counts = _bucket_counts(histogram)
    whole, seen = sum(counts), 0
    quantiles: list[int] = []
    for bucket, count in enumerate(counts):
        seen += count
        while (
            whole
            and len(quantiles) < len(per_cent)
            and seen * 100 >= whole * per_cent[len(quantiles)]
        ):
            quantiles.append(_middle(bucket))
    return quantiles


def stored_value(ms: int) -> int:
    """Return a duration as a histogram reports it: as the middle of its bucket."""
    return _middle(bisect_right(BOUNDS, ms))


def _bucket_counts(digits: str) -> list[int]:
    """Return how many durations are in each bucket, up to the last non-empty one."""
    ends = range(len(digits), 0, -_DIGITS)
    return [int(digits[max(end - _DIGITS, 0) : end]) for end in ends]


def _middle(bucket: int) -> int:
    """Return the geometric middle, which differs from both ends by the same percentage."""
    if bucket in (0, len(BOUNDS)):
        return BOUNDS[-1] if bucket else 0
    first, last = BOUNDS[bucket - 1], BOUNDS[bucket] - 1
    return (isqrt(4 * first * last) + 1) // 2
