"""Windows of budgets: they tile time in every zone, with every anchor (I17, P17)."""

import datetime as dt
from calendar import monthrange
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.limits.budget_rules import (
    FOREVER,
    PERIODS,
    BudgetInvalid,
    Period,
    check_budget,
    default_anchor,
    window,
)
from billing.periods.period_starts import first_instant_at
from tests.usage.buckets.test_buckets import ZONES, Spell, spells_of

BOUNDED: tuple[Period, ...] = ("hour", "day", "week", "month")
ANCHORS: dict[Period, tuple[int, ...]] = {
    "hour": (0, 30, 59), "day": (0, 2, 23), "week": (0, 6), "month": (1, 15, 31),
}  # fmt: skip
_MICROSECOND = dt.timedelta(microseconds=1)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("period", "anchor", "zone", "instant", "start", "end"),
    [
        ("hour", 15, "UTC", "2026-11-20T11:14Z", "2026-11-20T10:15Z", "2026-11-20T11:15Z"),
        ("day", 0, "UTC", "2026-11-20T00:00Z", "2026-11-20T00:00Z", "2026-11-21T00:00Z"),
        ("day", 6, "Asia/Shanghai", "2026-11-19T21:59Z", "2026-11-18T22:00Z", "2026-11-19T22:00Z"),
        # The clock is set forward: the day is short. It is set back: the day is long.
        ("day", 0, "Europe/Berlin", "2026-03-29T12:00Z", "2026-03-28T23:00Z", "2026-03-29T22:00Z"),
        ("day", 0, "Europe/Berlin", "2026-10-25T12:00Z", "2026-10-24T22:00Z", "2026-10-25T23:00Z"),
        # The anchor falls into the gap: the window begins at the jump.
        ("day", 2, "Europe/Berlin", "2026-03-29T01:00Z", "2026-03-29T01:00Z", "2026-03-30T00:00Z"),
        # The anchor comes twice: the first one counts.
        ("day", 2, "Europe/Berlin", "2026-10-25T01:30Z", "2026-10-25T00:00Z", "2026-10-26T01:00Z"),
        ("week", 0, "UTC", "2026-11-20T11:00Z", "2026-11-16T00:00Z", "2026-11-23T00:00Z"),
        ("week", 6, "UTC", "2026-11-20T11:00Z", "2026-11-15T00:00Z", "2026-11-22T00:00Z"),
        ("month", 1, "UTC", "2026-11-20T11:00Z", "2026-11-01T00:00Z", "2026-12-01T00:00Z"),
        ("month", 31, "UTC", "2026-02-27T23:59Z", "2026-01-31T00:00Z", "2026-02-28T00:00Z"),
        ("month", 31, "UTC", "2028-03-01T00:00Z", "2028-02-29T00:00Z", "2028-03-31T00:00Z"),
        # Samoa went without its 30th of December.
        ("day", 0, "Pacific/Apia", "2011-12-30T10:00Z", "2011-12-30T10:00Z", "2011-12-31T10:00Z"),
    ],
)  # fmt: skip
def test_window(period: Period, anchor: int, zone: str, instant: str, start: str, end: str) -> None:
    assert window(period, anchor, zone, at(instant)) == (at(start), at(end))


def test_without_a_period_there_is_one_window() -> None:
    for instant in ("1971-01-01T00:00Z", "2026-11-20T11:00Z", "9998-12-31T00:00Z"):
        assert window("total", 0, "Asia/Tokyo", at(instant)) == FOREVER


def tiles(zone: str, period: Period, anchor: int, since: dt.datetime, until: dt.datetime) -> None:
    """Walk from window to window: each begins where the one before it ends, and every instant at
    an edge belongs to exactly the window that it begins."""
    span = window(period, anchor, zone, since)
    assert span.start_at <= since < span.end_at
    longest = {"hour": 5, "day": 49, "week": 9 * 24, "month": 33 * 24}[period]
    while span.end_at < until:
        following = window(period, anchor, zone, span.end_at)
        assert following.start_at == span.end_at
        assert window(period, anchor, zone, span.end_at - _MICROSECOND) == span
        assert dt.timedelta() < span.end_at - span.start_at <= dt.timedelta(hours=longest)
        span = following


@pytest.mark.parametrize("zone", ZONES)
def test_windows_tile_time(zone: str) -> None:
    """P17: days, weeks and months of a winter in forty zones, and a week of changes by hours."""
    for period in BOUNDED[1:]:
        tiles(zone, period, ANCHORS[period][1], at("2011-10-20T00:00Z"), at("2012-04-10T00:00Z"))
    tiles(zone, "hour", 30, at("2026-03-28T00:00Z"), at("2026-04-02T00:00Z"))


def wall_seconds(period: Period, anchor: int) -> Iterator[int]:
    """What a wall clock shows, in seconds since 1970, where periods begin; 2006 to 2027."""
    first, last = dt.date(2006, 12, 1), dt.date(2027, 2, 28)
    days = [(first + dt.timedelta(n)) for n in range((last - first).days)]
    for day in days:
        midnight = (day - dt.date(1970, 1, 1)).days * 86_400
        if period == "hour":
            yield from range(midnight + anchor * 60, midnight + 86_400, 3600)
        elif period == "day":
            yield midnight + anchor * 3600
        elif period == "week":
            yield from [midnight] * (day.weekday() == anchor)
        elif day.day == min(anchor, monthrange(day.year, day.month)[1]):
            yield midnight


def begins(period: Period, anchor: int, spells: Sequence[Spell]) -> list[int]:
    """The first instant at which the clock shows each of them or later, in Unix seconds; what a
    zone left out begins with what comes after it."""
    result, place = [], 0
    for label in wall_seconds(period, anchor):
        while label - spells[place].offset_s >= spells[place].end_s:
            place += 1
        result.append(max(spells[place].start_s, label - spells[place].offset_s))
    return sorted(set(result))


@pytest.mark.slow
@pytest.mark.parametrize("zone", ZONES)
def test_windows_tile_twenty_years(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """P17: 40 zones × 20 years, every period with every sort of anchor: each boundary is where the
    offsets of the zone put it, and belongs to the window that it begins, as all before the next
    (of plain hours, far from any change, the beginning alone)."""
    # The windows side by side ask for the same first instants.
    monkeypatch.setattr(
        "billing.limits.budget_rules.first_instant_at", lru_cache(64)(first_instant_at)
    )
    since, until = at("2007-01-01T00:00Z"), at("2027-01-01T00:00Z")
    spells = spells_of(ZoneInfo(zone), 2006, 2028)
    changes = {int(spell.start_s // 86_400) + n for spell in spells for n in range(-3, 4)}
    walked = 0
    for period in BOUNDED:
        for anchor in ANCHORS[period][1:2] if period == "hour" else ANCHORS[period]:
            edges = [dt.datetime.fromtimestamp(edge, dt.UTC)
                     for edge in begins(period, anchor, spells)]  # fmt: skip
            for start_at, end_at in pairwise(edges):
                if not since <= start_at < until:
                    continue
                assert window(period, anchor, zone, start_at) == (start_at, end_at)
                if period != "hour" or start_at.timestamp() // 86_400 in changes:
                    last = end_at - _MICROSECOND
                    assert window(period, anchor, zone, last) == (start_at, end_at)
                walked += 1
    assert walked > 20 * (8765 + 3 * 365 + 2 * 52 + 3 * 12)


@given(
    st.sampled_from(sorted(available_timezones())),
    st.sampled_from(BOUNDED),
    st.integers(0, 59),
    st.datetimes(dt.datetime(1971, 1, 1), dt.datetime(2100, 1, 1), timezones=st.just(dt.UTC)),  # noqa: DTZ001
)
def test_every_instant_lies_in_its_window(
    zone: str, period: Period, anchor: int, instant: dt.datetime
) -> None:
    anchor %= {"hour": 60, "day": 24, "week": 7, "month": 31}[period]
    anchor += period == "month"
    span = window(period, anchor, zone, instant)
    assert span.start_at <= instant < span.end_at
    assert window(period, anchor, zone, span.start_at) == span
    assert window(period, anchor, zone, span.end_at).start_at == span.end_at


def test_invalid_budgets_are_rejected() -> None:
    for period in PERIODS:
        check_budget(period, default_anchor(period), "UTC")
    for period, anchor in (("hour", 60), ("day", 24), ("week", -1), ("month", 0), ("total", 1)):
        with pytest.raises(BudgetInvalid, match="expected a whole number") as refused:
            check_budget(period, anchor, "UTC")
        assert refused.value.field == "anchor"
    with pytest.raises(BudgetInvalid, match="time zone") as refused:
        check_budget("day", 0, "Europe/Atlantis")
    assert refused.value.field == "timezone"
