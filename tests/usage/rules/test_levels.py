"""I17: the levels of sums tile any time, each part in the one that has the fewest rows."""

import datetime as dt
from itertools import pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage.rules.buckets import BUCKET, Span, edges
from usage.rules.levels import WIDTHS, cut, runs, start_of

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
NOON = dt.datetime(2026, 11, 18, 12, tzinfo=dt.UTC)
MIDNIGHT = NOON - 12 * HOUR
QUARTERS = st.integers(-400, 400).map(lambda n: NOON + n * BUCKET)


@given(QUARTERS, QUARTERS, st.none() | st.integers(-99, 99).map(lambda n: NOON + n * HOUR))
def test_the_parts_tile_the_time(
    start_at: dt.datetime, end_at: dt.datetime, levels_to: dt.datetime | None
) -> None:
    parts = cut([Span(start_at, end_at)], levels_to)
    spans = sorted(span for of_level in parts.values() for span in of_level)
    if start_at >= end_at:
        assert spans == []
        return
    assert spans[0].start_at == start_at
    assert spans[-1].end_at == end_at
    assert all(a.end_at == b.start_at for a, b in pairwise(spans))
    for level, of_level in parts.items():
        for span in of_level:
            assert start_of(span.start_at, level) == span.start_at
            assert start_of(span.end_at, level) == span.end_at
            assert level == "quarter" or (levels_to is not None and span.end_at <= levels_to)
    # Nothing is read from quarters or hours that a coarser level has.
    assert all(
        span.end_at - span.start_at < 2 * HOUR for span in _inner(parts["quarter"], levels_to)
    )
    assert all(span.end_at - span.start_at < 2 * DAY for span in parts["hour"])


def _inner(spans: list[Span], levels_to: dt.datetime | None) -> list[Span]:
    """Those before the mark."""
    return [span for span in spans if levels_to is not None and span.end_at < levels_to]


@pytest.mark.parametrize(
    ("zone", "quarters", "hours", "days"),
    [("UTC", 0, 0, 1), ("Europe/Berlin", 0, 1, 0), ("Asia/Kolkata", 8, 8, 0)],
)
def test_a_week_of_days_in_a_zone(zone: str, quarters: int, hours: int, days: int) -> None:
    week = edges(dt.date(2026, 11, 2), dt.date(2026, 11, 9), ZoneInfo(zone), "day")
    parts = cut(week, NOON)
    assert [len(parts[level]) for level in ("quarter", "hour", "day")] == [
        quarters, 7 if zone == "Asia/Kolkata" else hours, days,
    ]  # fmt: skip


def test_no_part_crosses_the_edge_of_two_spans() -> None:
    middle = MIDNIGHT + BUCKET
    parts = cut([Span(MIDNIGHT - DAY, middle), Span(middle, MIDNIGHT + DAY)], NOON + 9 * DAY)
    assert parts["day"] == [Span(MIDNIGHT - DAY, MIDNIGHT)]
    assert parts["quarter"] == [Span(MIDNIGHT, MIDNIGHT + HOUR)]
    assert parts["hour"] == [Span(MIDNIGHT + HOUR, MIDNIGHT + DAY)]


def test_buckets_that_follow_each_other_are_one_run() -> None:
    ours, theirs = UUID(int=1), UUID(int=2)
    late = MIDNIGHT - BUCKET
    found = runs(
        [(ours, NOON + BUCKET), (theirs, NOON), (ours, NOON), (ours, MIDNIGHT), (ours, late)],
        "quarter",
    )
    assert [(span, sorted(members)) for span, members in found] == [
        (Span(late, MIDNIGHT), [(ours, late)]),
        (Span(MIDNIGHT, MIDNIGHT + BUCKET), [(ours, MIDNIGHT)]),
        (Span(NOON, NOON + 2 * BUCKET), [(ours, NOON), (ours, NOON + BUCKET), (theirs, NOON)]),
    ]
    assert WIDTHS["quarter"] == BUCKET
