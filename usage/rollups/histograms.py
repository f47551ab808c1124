"""Times as histograms that are numbers: to add two of them is to merge them, exactly.

A time falls into a bucket: each millisecond by itself at first, then 4 % wide, up to a day and
beyond. A histogram is one number that has the number of times in each bucket as twelve of its
decimal digits, the first bucket in the last ones; as `numeric`, whose zeros at either end take no
room, `sum` merges any number of them. So many digits do not run over: a bucket would have to hold
a million million times. The point stands before the bucket of two seconds: Postgres works through
all digits between it and those that are there, and most times are near it.

A quantile is the middle of its bucket, from which no time of that bucket is further away than
`ERROR_PER_CENT`.
"""

from bisect import bisect_right
from collections.abc import Sequence
from math import isqrt
from typing import Final

ERROR_PER_CENT: Final = 2
SHARES: Final = (50, 95, 99)
"""The percentiles that are told of times, ascending: so many of 100 took no longer."""
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
"""Where each bucket but the first begins, in milliseconds."""


_POINT: Final = bisect_right(BOUNDS, 2000)


def histogram_sql(column: str) -> str:
    """The histogram of one time, of a column of milliseconds that is not null: what is summed."""
    bounds = ",".join(map(str, BOUNDS))
    bucket = f"width_bucket({column}, '{{{bounds}}}'::int[])"
    return f"('1e' || {_DIGITS} * ({bucket} - {_POINT}))::numeric"


def digits_sql(histogram: str) -> str:
    """The digits of a histogram as `quantiles_of` reads them."""
    return f"trunc({histogram} * '1e{_DIGITS * _POINT}'::numeric)::text"


def quantiles_of(histogram: str, per_cent: Sequence[int]) -> list[int]:
    """Of each share the time, in milliseconds, that so many per cent do not exceed, of ascending
    shares; none of a histogram without times. `histogram` is its digits: Python does not read so
    long a number, and slices are quicker."""
    counts = _counts_of(histogram)
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
    """A time as a histogram tells it: the middle of its bucket."""
    return _middle(bisect_right(BOUNDS, ms))


def _counts_of(digits: str) -> list[int]:
    """Return how many times are in each bucket, up to the last that has any."""
    ends = range(len(digits), 0, -_DIGITS)
    return [int(digits[max(end - _DIGITS, 0) : end]) for end in ends]


def _middle(bucket: int) -> int:
    """The geometric middle: as far from one end as from the other, in per cent."""
    if bucket in (0, len(BOUNDS)):
        return BOUNDS[-1] if bucket else 0
    first, last = BOUNDS[bucket - 1], BOUNDS[bucket] - 1
    return (isqrt(4 * first * last) + 1) // 2
