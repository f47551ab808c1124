from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

import pytest

from tests.support.pairwise import slow_unless
from usage.buckets.buckets import BUCKET, Grain, Span, bucket_of, edges, first_instant

GRAINS: tuple[Grain, ...] = ("15min", "hour", "day", "week", "month")
# Forty zones: both hemispheres, half and three-quarter hours, changes at midnight, half-hour
# changes, changes that follow the moon, dates left out, and zones that gave changes up.
ZONES = [
    "UTC",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/El_Aaiun",
    "Africa/Johannesburg",
    "Africa/Monrovia",
    "America/Adak",
    "America/Argentina/Buenos_Aires",
    "America/Asuncion",
    "America/Caracas",
    "America/Godthab",
    "America/Havana",
    "America/Mexico_City",
    "America/New_York",
    "America/Phoenix",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/Scoresbysund",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Amman",
    "Asia/Beirut",
    "Asia/Colombo",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Pyongyang",
    "Asia/Shanghai",
    "Asia/Tehran",
    "Atlantic/Azores",
    "Australia/Adelaide",
    "Australia/Eucla",
    "Australia/Lord_Howe",
    "Europe/Dublin",
    "Europe/London",
    "Europe/Volgograd",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Easter",
    "Pacific/Kiritimati",
]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("instant", "bucket"),
    [
        ("2026-03-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00"),
        ("2026-03-01T00:14:59.999999+00:00", "2026-03-01T00:00:00+00:00"),
        ("2026-03-01T00:15:00+00:00", "2026-03-01T00:15:00+00:00"),
        ("2026-03-01T05:44:59+05:45", "2026-02-28T23:45:00+00:00"),
        ("1969-12-31T23:59:59+00:00", "1969-12-31T23:45:00+00:00"),
    ],
)
def test_bucket_of(instant: str, bucket: str) -> None:
    assert bucket_of(datetime.fromisoformat(instant)) == at(bucket)
    assert bucket_of(datetime.fromisoformat(instant)).tzinfo is UTC


def test_instant_without_a_zone_is_rejected() -> None:
    with pytest.raises(TypeError):
        bucket_of(datetime(2026, 1, 1))  # noqa: DTZ001 - refused on purpose


@pytest.mark.parametrize(
    ("zone", "on", "first"),
    [
        ("UTC", "2026-03-01", "2026-03-01T00:00:00+00:00"),
        ("Asia/Shanghai", "2026-03-01", "2026-02-28T16:00:00+00:00"),
        # The clock jumps from 00:00 to 01:00: the day begins with the jump.
        ("Africa/Cairo", "2026-04-24", "2026-04-24T01:00:00+03:00"),
        ("America/Santiago", "2026-09-06", "2026-09-06T01:00:00-03:00"),
        # It jumped from 23:30 to 00:30: midnight lies inside the gap.
        ("America/Toronto", "1919-03-31", "1919-03-31T00:30:00-04:00"),
        # Midnight comes twice, the first one counts.
        ("America/Havana", "2026-11-01", "2026-11-01T00:00:00-04:00"),
        # At 00:01 it was set back into the day before: the first midnight counts.
        ("America/St_Johns", "2010-11-07", "2010-11-07T00:00:00-02:30"),
        # Set back from 00:00 to 23:00 the day before: midnight is an hour later.
        ("America/Santiago", "2026-04-05", "2026-04-05T00:00:00-04:00"),
        # A date that never was begins with the one after it.
        ("Pacific/Apia", "2011-12-30", "2011-12-31T00:00:00+14:00"),
        ("Pacific/Apia", "2011-12-31", "2011-12-31T00:00:00+14:00"),
    ],
)
def test_first_instant(zone: str, on: str, first: str) -> None:
    assert first_instant(date.fromisoformat(on), ZoneInfo(zone)) == at(first)


def walls(spans: list[Span], zone: str) -> list[tuple[str, int]]:
    return [
        (f"{span.start_at.astimezone(ZoneInfo(zone)):%H:%M}", (span.end_at - span.start_at).seconds)
        for span in spans
    ]


@pytest.mark.parametrize(
    ("zone", "on", "count", "part"),
    [
        ("Europe/London", "2026-06-01", 24, [("00:00", 3600), ("01:00", 3600), ("02:00", 3600)]),
        ("Europe/London", "2026-03-29", 23, [("00:00", 3600), ("02:00", 3600), ("03:00", 3600)]),
        ("Europe/London", "2026-10-25", 25, [("00:00", 3600), ("01:00", 3600), ("01:00", 3600)]),
        ("Africa/Cairo", "2026-04-24", 23, [("01:00", 3600), ("02:00", 3600)]),
        ("Asia/Kathmandu", "2026-06-01", 24, [("00:00", 3600), ("01:00", 3600)]),
        # Half an hour is left out, or comes twice within its hour.
        (
            "Australia/Lord_Howe",
            "2026-10-04",
            24,
            [("00:00", 3600), ("01:00", 3600), ("02:30", 1800), ("03:00", 3600)],
        ),
        ("Australia/Lord_Howe", "2026-04-05", 24, [("00:00", 3600), ("01:00", 5400)]),
    ],
)
def test_hours_are_hours_on_the_wall(
    zone: str, on: str, count: int, part: list[tuple[str, int]]
) -> None:
    day = date.fromisoformat(on)
    spans = edges(day, day + timedelta(days=1), ZoneInfo(zone), "hour")

    assert len(spans) == count
    assert walls(spans, zone)[: len(part)] == part


def test_weeks_begin_on_monday_months_on_the_1st_edges_are_cut() -> None:
    zone = ZoneInfo("Asia/Shanghai")
    weeks = edges(date(2026, 2, 26), date(2026, 3, 10), zone, "week")
    months = edges(date(2026, 1, 31), date(2026, 3, 2), zone, "month")

    starts = [span.start_at.astimezone(zone).date().isoformat() for span in weeks]
    assert starts == ["2026-02-26", "2026-03-02", "2026-03-09"]
    assert weeks[-1].end_at == at("2026-03-10T00:00:00+08:00")
    starts = [span.start_at.astimezone(zone).date().isoformat() for span in months]
    assert starts == ["2026-01-31", "2026-02-01", "2026-03-01"]


@pytest.mark.parametrize("grain", GRAINS)
def test_empty_range_has_no_bucket(grain: Grain) -> None:
    zone = ZoneInfo("Europe/London")

    assert edges(date(2026, 3, 1), date(2026, 3, 1), zone, grain) == []
    assert edges(date(2026, 3, 2), date(2026, 3, 1), zone, grain) == []


def test_impossible_date_has_no_bucket() -> None:
    spans = edges(date(2011, 12, 29), date(2012, 1, 1), ZoneInfo("Pacific/Apia"), "day")

    assert [span.end_at - span.start_at for span in spans] == [timedelta(days=1)] * 2


def changes(zone: ZoneInfo, first_year: int, last_year: int, step_days: int) -> list[datetime]:
    """Every instant at which the zone's offset changes, to the second, by bisection."""
    results = []
    first, last = datetime(first_year, 1, 1, tzinfo=UTC), datetime(last_year, 1, 1, tzinfo=UTC)
    days = [first + timedelta(days=n) for n in range(0, (last - first).days + 1, step_days)]
    offsets = [day.astimezone(zone).utcoffset() for day in days]
    for (low, before), (high, after) in pairwise(zip(days, offsets, strict=True)):
        if before == after:
            continue
        start, end = 0, (high - low) // timedelta(seconds=1)
        while end - start > 1:
            middle = (start + end) // 2
            if (low + timedelta(seconds=middle)).astimezone(zone).utcoffset() == before:
                start = middle
            else:
                end = middle
        results.append(low + timedelta(seconds=end))
    return results


class Spell(NamedTuple):
    """A time in which a zone keeps its offset from UTC; Unix seconds, the end not included."""

    start_s: int
    end_s: int
    offset_s: int


def spells_of(zone: ZoneInfo, first_year: int, last_year: int) -> list[Spell]:
    """The spells between two New Years, by the zone's changes alone."""
    edges = [
        datetime(first_year, 1, 1, tzinfo=UTC),
        *changes(zone, first_year, last_year, step_days=1),
        datetime(last_year, 1, 1, tzinfo=UTC),
    ]
    results = []
    for start, end in pairwise(edges):
        offset = start.astimezone(zone).utcoffset()
        assert offset is not None
        seconds = offset // timedelta(seconds=1)
        results.append(Spell(int(start.timestamp()), int(end.timestamp()), seconds))
    return results


@pytest.mark.slow
@pytest.mark.parametrize("name", ZONES)
def test_every_boundary_of_twenty_years(name: str) -> None:
    """P17: 40 zones × 20 years of every grain: each boundary is where the wall clock shows a full
    hour, or another hour or date than ever before; and every quarter hour stands in one bucket."""
    zone = ZoneInfo(name)
    start_on, end_on = date(2007, 1, 1), date(2027, 1, 1)
    first, last = (int(first_instant(on, zone).timestamp()) for on in (start_on, end_on))
    wanted: dict[Grain, list[int]] = {
        "15min": list(range(first, last, 900)), "hour": [], "day": [], "week": [], "month": [],
    }  # fmt: skip
    hour_before, newest = -1, (start_on - date(1970, 1, 1)).days - 1
    for start_s, end_s, offset_s in spells_of(zone, 2006, 2028):
        # A change between two quarter hours, as there were until 2011, is seen at the next.
        begun_s = -(-max(start_s, first) // 900) * 900
        for at_s in range(begun_s, min(end_s, last), 900):
            hour, past = divmod(at_s + offset_s, 3600)
            if past and hour == hour_before:
                continue
            hour_before = hour
            wanted["hour"].append(at_s)
            if hour // 24 <= newest:
                continue
            newest = hour // 24
            wanted["day"].append(at_s)
            on = date(1970, 1, 1) + timedelta(newest)
            if on.weekday() == 0:
                wanted["week"].append(at_s)
            if on.day == 1:
                wanted["month"].append(at_s)
    for grain in GRAINS:
        spans = edges(start_on, end_on, zone, grain)
        starts = [int(span.start_at.timestamp()) for span in spans]
        assert starts == sorted({first, *wanted[grain]}), grain
        assert all(a.end_at == b.start_at for a, b in pairwise(spans))
        assert int(spans[-1].end_at.timestamp()) == last


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=slow_unless(n % 3 == 0)) for n, name in enumerate(ZONES)]
)
def test_buckets_tile_twenty_years(name: str) -> None:
    zone = ZoneInfo(name)
    start_on, end_on = date(2011, 1, 1), date(2031, 1, 1)
    whole = Span(first_instant(start_on, zone), first_instant(end_on, zone))
    for grain in ("day", "week", "month"):
        spans = edges(start_on, end_on, zone, grain)
        assert (spans[0].start_at, spans[-1].end_at) == whole
        assert all(a.end_at == b.start_at for a, b in pairwise(spans))
        assert all(a.start_at < a.end_at for a in spans)
        assert all(bucket_of(a.start_at) == a.start_at for a in spans)
    # The finer grains matter where the clock changes: three days around each change, and one
    # plain month.
    around = [
        (change.date() - timedelta(days=2), change.date() + timedelta(days=2))
        for change in changes(zone, 2011, 2031, step_days=1)
    ]
    for from_on, to_on in [(date(2026, 1, 15), date(2026, 2, 15)), *around]:
        days, hours, quarters = (edges(from_on, to_on, zone, g) for g in ("day", "hour", "15min"))
        for coarse, fine in ((days, hours), (hours, quarters)):
            starts = {span.start_at for span in fine}
            assert all(span.start_at in starts for span in coarse)
            assert all(a.end_at == b.start_at for a, b in pairwise(fine))
            assert (fine[0].start_at, fine[-1].end_at) == (
                first_instant(from_on, zone),
                first_instant(to_on, zone),
            )
        assert {span.end_at - span.start_at for span in quarters} == {BUCKET}
        assert all(timedelta(0) < b - a <= timedelta(minutes=90) for a, b in hours)


@pytest.mark.parametrize("name", ["Africa/Cairo", "America/St_Johns", "Pacific/Apia", "UTC"])
def test_every_instant_is_in_a_bucket_of_its_date_or_a_repeat(name: str) -> None:
    zone = ZoneInfo(name)
    spans = edges(date(2010, 1, 1), date(2012, 2, 1), zone, "day")
    for start_at, end_at in spans:
        begun = start_at.astimezone(zone).date()
        assert (start_at - timedelta(seconds=1)).astimezone(zone).date() < begun
        instant = start_at
        while instant < end_at:
            assert instant.astimezone(zone).date() <= begun
            instant += timedelta(hours=1)


@pytest.mark.slow
def test_stored_buckets_fit_every_zone_in_use() -> None:
    """Offsets and changes of all zones keep to the quarter hour, 2026 to 2040."""
    names = available_timezones()
    for name in names:
        zone = ZoneInfo(name)
        result = changes(zone, 2026, 2041, step_days=7)
        for instant in (datetime(2026, 1, 1, tzinfo=UTC), *result):
            offset = instant.astimezone(zone).utcoffset()
            assert offset is not None
            assert offset % BUCKET == timedelta(0), (name, instant)
        assert all(bucket_of(change) == change for change in result), name
    assert len(names) > 400


def test_edges_are_in_utc_whatever_the_zone() -> None:
    spans = edges(date(2026, 1, 1), date(2026, 1, 2), ZoneInfo("Asia/Kolkata"), "hour")

    assert {a.tzinfo for a, _ in spans} == {UTC}
    assert spans[0].start_at == datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5.5)))
