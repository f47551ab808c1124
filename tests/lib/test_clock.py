import datetime as dt

import pytest

from lib import clock


@pytest.mark.parametrize(
    ("microsecond", "text"),
    [(0, "46Z"), (999, "46Z"), (1000, "46.001Z"), (999_999, "46.999Z")],
)
def test_a_moment_has_milliseconds_where_it_has_any(microsecond: int, text: str) -> None:
    """So that what was cut to milliseconds reads as it did before."""
    at = dt.datetime(2026, 11, 22, 2, 34, 46, microsecond, tzinfo=dt.UTC)
    assert clock.rfc3339(at) == f"2026-11-22T02:34:{text}"
    cut = at.replace(microsecond=microsecond // 1000 * 1000)
    assert clock.rfc3339(cut) == clock.rfc3339(at)
