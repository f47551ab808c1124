"""I17: the levels of sums tile any time, each part in the one that has the fewest rows."""

import datetime as dt
from itertools import pairwise
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage.buckets.buckets import BUCKET, Span, edges
from usage.rollups.level_rules import WIDTHS, pieces_of, runs, split_spans, start_of

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
NOON = dt.datetime(2026, 11, 18, 12, tzinfo=dt.UTC)
MIDNIGHT = NOON - 12 * HOUR
QUARTERS = st.integers(-400, 400).map(lambda n: NOON + n * BUCKET)


@given(QUARTERS, QUARTERS, st.none() | st.integers(-99, 99).map(lambda n: NOON + n * HOUR))
def test_the_parts_tile_the_time(
    start_at: dt.datetime, end_at: dt.datetime, levels_to: dt.datetime | None
) -> None:
    parts = split_spans([Span(start_at, end_at)], levels_to)
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
    parts = split_spans(week, NOON)
    assert [len(parts[level]) for level in ("quarter", "hour", "day")] == [
        quarters, 7 if zone == "Asia/Kolkata" else hours, days,
    ]  # fmt: skip


def test_no_part_crosses_a_span_edge() -> None:
    middle = MIDNIGHT + BUCKET
    parts = split_spans(
        [Span(MIDNIGHT - DAY, middle), Span(middle, MIDNIGHT + DAY)], NOON + 9 * DAY
    )
    assert parts["day"] == [Span(MIDNIGHT - DAY, MIDNIGHT)]
    assert parts["quarter"] == [Span(MIDNIGHT, MIDNIGHT + HOUR)]
    assert parts["hour"] == [Span(MIDNIGHT + HOUR, MIDNIGHT + DAY)]


def test_buckets_that_follow_each_other_are_one_run() -> None:
    ours, theirs = UUID(int=1), UUID(int=2)
    late = MIDNIGHT - BUCKET
    result = runs(
        [(ours, NOON + BUCKET), (theirs, NOON), (ours, NOON), (ours, MIDNIGHT), (ours, late)],
        "quarter",
    )
    assert [(span, sorted(members)) for span, members in result] == [
        (Span(late, MIDNIGHT), [(ours, late)]),
        (Span(MIDNIGHT, MIDNIGHT + BUCKET), [(ours, MIDNIGHT)]),
        (Span(NOON, NOON + 2 * BUCKET), [(ours, NOON), (ours, NOON + BUCKET), (theirs, NOON)]),
    ]
    assert WIDTHS["quarter"] == BUCKET


@given(
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York", "Asia/Kathmandu"]),
    st.sampled_from(["hour", "day", "week", "month"]),
    st.dates(dt.date(2026, 1, 1), dt.date(2026, 12, 1)),
    st.integers(1, 12),
    st.none() | st.integers(-800, 800).map(lambda n: NOON + n * HOUR),
)
def test_pieces_add_up_to_every_span(
    zone: str, grain: Any, first: dt.date, days: int, levels_to: dt.datetime | None
) -> None:
    """I17: each quarter counts once in its own span, and nothing in another; none of a coarser row
    than there is, none from outside."""
    spans = edges(first, first + days * DAY, ZoneInfo(zone), grain)
    counted = dict.fromkeys(((span.start_at, at) for span in spans for at in quarters(span)), 1)
    for piece in pieces_of(spans, levels_to):
        assert start_of(piece.span.start_at, piece.level) == piece.span.start_at
        assert start_of(piece.span.end_at, piece.level) == piece.span.end_at
        assert piece.level == "quarter" or (levels_to and piece.span.end_at <= levels_to)
        for at in quarters(piece.span):
            for owner_at, sign in ((piece.owner_at, 1), (piece.off_at, -1)):
                if owner_at is not None:
                    counted[owner_at, at] = counted.get((owner_at, at), 0) - sign
    assert not any(counted.values())


def quarters(span: Span) -> list[dt.datetime]:
    return [span.start_at + n * BUCKET for n in range((span.end_at - span.start_at) // BUCKET)]


@pytest.mark.parametrize(("zone", "hours"), [("UTC", 0), ("Europe/Berlin", 1), ("Asia/Tokyo", 9)])
def test_days_of_a_zone_are_read_by_days(zone: str, hours: int) -> None:
    """But for the hours between both, where two of them meet, and at the ends of the time."""
    week = edges(dt.date(2026, 11, 2), dt.date(2026, 11, 9), ZoneInfo(zone), "day")
    read = {"quarter": 0 * DAY, "hour": 0 * DAY, "day": 0 * DAY}
    for piece in pieces_of(week, NOON):
        read[piece.level] += piece.span.end_at - piece.span.start_at
    assert read["quarter"] == 0 * DAY
    assert read["hour"] == (6 * hours + (24 if hours else 0)) * HOUR
    assert read["day"] == (6 if hours else 7) * DAY
