"""Query strings and ranges: P17 for what people ask, and links that mean what they show."""

import datetime as dt
from urllib.parse import parse_qs, urlencode
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.ids import id_text, new_id
from usage.buckets.buckets import BUCKET, bucket_of
from usage.filters.filters import (
    Dropped,
    UsageFilter,
    between,
    from_query,
    read_bucket_edge,
    read_edge,
)

NOW = dt.datetime(2026, 11, 20, 14, 5, 30, tzinfo=dt.UTC)
UTC = ZoneInfo("UTC")
ZONES = st.sampled_from(
    [
        "UTC",
        "America/New_York",
        "America/Havana",
        "America/St_Johns",
        "Asia/Kolkata",
        "Asia/Kathmandu",
        "Asia/Shanghai",
        "Australia/Lord_Howe",
        "Europe/Berlin",
        "Pacific/Apia",
        "Pacific/Chatham",
    ]
)
# From 2010 to 2030.
INSTANTS = st.integers(1_262_304_000, 1_893_456_000).map(
    lambda seconds: dt.datetime.fromtimestamp(seconds, dt.UTC)
)


def asked(
    query: str, now: dt.datetime = NOW, *, channels: bool = False, log: bool = False
) -> UsageFilter:
    return from_query(parse_qs(query, keep_blank_values=True), now, channels=channels, log=log)


def days(usage_filter: UsageFilter) -> tuple[str, str]:
    first, last = usage_filter.start_at, usage_filter.end_at - BUCKET
    return first.astimezone(usage_filter.zone).date().isoformat(), last.astimezone(
        usage_filter.zone
    ).date().isoformat()


@pytest.mark.parametrize(
    ("query", "first", "last", "grain", "buckets"),
    [
        ("", "2026-10-22", "2026-11-20", "day", 30),
        ("range=30d", "2026-10-22", "2026-11-20", "day", 30),
        ("range=7d", "2026-11-14", "2026-11-20", "day", 7),
        ("range=mtd", "2026-11-01", "2026-11-20", "day", 20),
        ("range=last-month", "2026-10-01", "2026-10-31", "day", 31),
        ("range=24h", "2026-11-19", "2026-11-20", "hour", 24),
        ("range=7d&tz=Asia/Shanghai", "2026-11-14", "2026-11-20", "day", 7),
        ("range=7d&tz=Pacific/Kiritimati", "2026-11-15", "2026-11-21", "day", 7),
        ("range=custom&from=2026-11-19&to=2026-11-20", "2026-11-19", "2026-11-20", "hour", 48),
        ("range=custom&from=2026-11-10&to=2026-11-20", "2026-11-10", "2026-11-20", "day", 11),
        ("range=custom&from=2025-11-21&to=2026-11-20", "2025-11-21", "2026-11-20", "week", 53),
        ("range=custom&from=2020-01-01&to=2026-11-20", "2020-01-01", "2026-11-20", "month", 83),
        ("range=custom", "2026-10-22", "2026-11-20", "day", 30),
    ],
)
def test_ranges(query: str, first: str, last: str, grain: str, buckets: int) -> None:
    result = asked(query)
    assert (*days(result), result.grain, len(result.spans)) == (first, last, grain, buckets)
    assert result.dropped == ()


def test_last_hour_of_a_day_is_the_running_one() -> None:
    result = asked("range=24h")
    assert result.spans[-1].start_at == NOW.replace(minute=0, second=0)
    assert [result.unfinished(span) for span in result.spans] == [False] * 23 + [True]


@pytest.mark.parametrize(
    ("query", "start", "end"),
    [
        # As much of the period before as has passed of this one, up to the bucket that runs.
        ("range=30d", "2026-09-22T00:00:00", "2026-10-21T14:15:00"),
        ("range=mtd", "2026-10-01T00:00:00", "2026-10-20T14:15:00"),
        ("range=last-month", "2026-09-01T00:00:00", "2026-10-01T00:00:00"),
        ("range=24h", "2026-11-18T15:00:00", "2026-11-19T14:15:00"),
        ("range=custom&from=2026-11-01&to=2026-11-10", "2026-10-22T00:00:00", "2026-11-01"),
        # The same dates a year ago, by the wall of the zone; of a leap day, the day before it.
        ("range=mtd&compare=year", "2025-11-01T00:00:00", "2025-11-20T14:15:00"),
        ("range=last-month&tz=Europe/Berlin&compare=year", "2025-09-30T22:00", "2025-10-31T23:00"),
        ("range=24h&compare=year", "2025-11-19T15:00:00", "2025-11-20T14:15:00"),
        ("range=custom&from=2024-02-29&to=2024-02-29&compare=year", "2023-02-28", "2023-03-01"),
        ("range=custom&from=2026-11-01&to=2026-11-10&compare=year", "2025-11-01", "2025-11-11"),
    ],
)
def test_the_period_before(query: str, start: str, end: str) -> None:
    previous = asked(query).previous
    assert previous.start_at == dt.datetime.fromisoformat(start).replace(tzinfo=dt.UTC)
    assert previous.end_at == dt.datetime.fromisoformat(end).replace(tzinfo=dt.UTC)


def test_values() -> None:
    key = new_id()
    result = asked(
        f"model=gpt-5&model=claude&model=gpt-5&key={id_text(key)}&user=Bob@Example.org"
        "&group_by=key&metric=tokens&model="
    )
    assert result.scope.models == ("gpt-5", "claude")
    assert result.scope.keys == (key,)
    assert result.scope.users == ("bob@example.org",)
    assert (result.group_by, result.metric) == ("key", "tokens")
    assert result.dropped == ()


def test_values_of_the_log() -> None:
    request = new_id()
    result = asked(f"status=error&q={id_text(request)}", log=True)
    assert result.scope.status == "error"
    assert result.scope.request_id == request
    assert result.dropped == ()
    # What picks single requests says nothing to sums, and the other way round.
    assert {part.name for part in asked("status=error&q=x").dropped} == {"status", "q"}
    assert {part.name for part in asked("group_by=key&metric=cost", log=True).dropped} == {
        "group_by",
        "metric",
    }
    assert {part.name for part in asked("status=500&q=hello", log=True).dropped} == {"status", "q"}


def test_what_was_masked_was_a_status() -> None:
    """An address from then has the filter of guards, and keeps it in its links."""
    result = asked("status=masked", log=True)
    assert (result.scope.status, result.scope.guards) == (None, "masked")
    assert result.query() == "guards=masked"
    assert asked("status=ok&guards=rejected", log=True).scope.guards == "rejected"


@pytest.mark.parametrize(
    "query",
    [
        "range=year",
        "tz=Mars/Olympus",
        "tz=../../etc/passwd",
        "key=1",
        "user=bob",
        "status=500",
        "guards=asleep",
        "q=hello",
        "group_by=channel",
        "group_by=r.user_id",
        "metric=money",
        "then_by=model",
        f"model={'x' * 201}",
        "model=gpt\x00",
        "user=bob@\x00",
    ],
)
def test_empty_parameter_is_dropped(query: str) -> None:
    name, _, value = query.partition("=")
    result = asked(query)
    assert result.dropped == (Dropped(name, value),)
    assert days(result) == ("2026-10-22", "2026-11-20")


# The longest value of each filter: what is stored is no longer.
LONGEST = {
    "model": 200, "user": 254, "team": 200, "project": 200, "customer": 200, "end_user": 256,
    "tag": 200, "app": 200,
}  # fmt: skip


@pytest.mark.parametrize("name", LONGEST)
def test_value_of_a_filter_is_as_long_as_what_is_stored(name: str) -> None:
    value = "a@example.org" if name == "user" else "x"
    value += "x" * (LONGEST[name] - len(value))
    assert asked(f"{name}={value}").query() == urlencode({name: value})
    assert asked(f"{name}={value}x").dropped == (Dropped(name, f"{value}x"),)


@pytest.mark.parametrize(
    "edges",
    [
        "from=2026-11-20&to=2026-11-10",
        "from=2026-11-20T00:00:00Z&to=2026-11-20T00:01:00Z",
        "from=yesterday&to=2026-11-10",
        "from=2026-11-20T00:00&to=2026-11-20T01:00",
        "from=0001-01-01&to=2026-11-10",
        "from=2026-11-10&to=9999-12-31",
        "from=1990-01-01&to=1990-02-01",
        "from=2026-11-10",
    ],
)
def test_invalid_range_falls_back(edges: str) -> None:
    result = asked(f"range=custom&{edges}")
    assert result.range == "30d"
    assert {part.name for part in result.dropped} <= {"from", "to"}
    assert result.dropped


def test_channels_are_for_operators() -> None:
    channel = new_id()
    query = f"channel={id_text(channel)}&group_by=channel"
    assert asked(query, channels=True).scope.channels == (channel,)
    assert asked(query, channels=True).group_by == "channel"
    assert asked(query).scope.channels == ()
    assert {part.name for part in asked(query).dropped} == {"channel", "group_by"}


def test_edges_of_dates_and_times() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert read_edge("2026-03-29", berlin, end=False).isoformat() == "2026-03-28T23:00:00+00:00"
    assert read_edge("2026-03-29", berlin, end=True).isoformat() == "2026-03-29T22:00:00+00:00"
    assert read_edge("2026-03-29T12:00:00+02:00", berlin, end=True).hour == 10
    with pytest.raises(ValueError, match="quarters"):
        read_bucket_edge("2026-03-29T12:00:01Z", berlin, end=True)


@given(
    now=INSTANTS,
    zone=ZONES,
    name=st.sampled_from(["24h", "7d", "30d", "mtd", "last-month"]),
    metric=st.sampled_from(["cost", "errors"]),
)
def test_every_bar_links_to_exactly_its_time(
    now: dt.datetime, zone: str, name: str, metric: str
) -> None:
    result = asked(f"range={name}&tz={zone}&metric={metric}&model=a", now)
    assert all(bucket_of(span.start_at) == span.start_at for span in result.spans)
    for span in result.spans:
        behind = asked(result.query_of_span(span), now)
        assert behind.span == span
        assert behind.scope == result.scope
        assert behind.dropped == ()


@given(now=INSTANTS, zone=ZONES, name=st.sampled_from(["24h", "7d", "30d", "mtd", "last-month"]))
def test_query_repeats_the_same_request(now: dt.datetime, zone: str, name: str) -> None:
    result = asked(f"range={name}&tz={zone}&group_by=key", now)
    assert asked(result.query(), now) == result
    previous = result.previous
    assert previous.start_at < previous.end_at <= result.start_at
    assert bucket_of(previous.start_at) == previous.start_at
    assert bucket_of(previous.end_at) == previous.end_at


@given(start=INSTANTS, length=st.integers(1, 96 * 400), zone=ZONES)
def test_any_range_is_tiled(start: dt.datetime, length: int, zone: str) -> None:
    first = bucket_of(start)
    end = first + length * BUCKET
    result = between(first, end, ZoneInfo(zone), NOW)
    assert (result.start_at, result.end_at) == (first, end)
    for left, right in zip(result.spans, result.spans[1:], strict=False):
        assert left.end_at == right.start_at
    assert len(result.spans) <= 121


def test_range_of_ten_years_is_accepted_to_the_last_instant() -> None:
    start_at = dt.datetime(2016, 1, 1, tzinfo=dt.UTC)
    end_at = start_at + dt.timedelta(days=3660)
    assert between(start_at, end_at, UTC, NOW).span == (start_at, end_at)
    with pytest.raises(ValueError, match="longer than ten years"):
        between(start_at, end_at + BUCKET, UTC, NOW)
