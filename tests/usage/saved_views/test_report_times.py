"""When reports are due: by the wall of a zone, on days that have no such hour too."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from usage.saved_views.report_times import Every, next_due


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("every", "hour", "zone", "after", "due", "first", "last"),
    [
        ("week", 8, "UTC", "2026-11-22T20:00", "2026-11-23T08:00", "2026-11-16", "2026-11-22"),
        # On the Monday itself before the hour, at it, and after it.
        ("week", 8, "UTC", "2026-11-23T07:59", "2026-11-23T08:00", "2026-11-16", "2026-11-22"),
        ("week", 8, "UTC", "2026-11-23T08:00", "2026-11-30T08:00", "2026-11-23", "2026-11-29"),
        ("month", 0, "UTC", "2026-12-31T23:59", "2027-01-01T00:00", "2026-12-01", "2026-12-31"),
        ("month", 9, "Asia/Kolkata", "2026-02-01T03:30", "2026-03-01T03:30", "2026-02-01",
         "2026-02-28"),
        # It is Monday in Auckland already.
        ("week", 8, "Pacific/Auckland", "2026-11-22T18:00", "2026-11-22T19:00", "2026-11-16",
         "2026-11-22"),
        # The clock of Sao Paulo jumped over midnight; of Lord Howe it moves by half an hour.
        ("month", 0, "America/Sao_Paulo", "2026-10-31T12:00", "2026-11-01T03:00", "2026-10-01",
         "2026-10-31"),
        ("week", 2, "Australia/Lord_Howe", "2026-09-28T00:00", "2026-10-04T15:00", "2026-09-28",
         "2026-10-04"),
        ("month", 2, "Europe/Berlin", "2026-02-15T00:00", "2026-03-01T01:00", "2026-02-01",
         "2026-02-28"),
    ],
)  # fmt: skip
def test_next_report_time(
    every: Every, hour: int, zone: str, after: str, due: str, first: str, last: str
) -> None:
    result = next_due(every, hour, ZoneInfo(zone), at(after))
    assert (result.at, result.first_on, result.last_on) == (
        at(due), date.fromisoformat(first), date.fromisoformat(last)
    )  # fmt: skip


@pytest.mark.parametrize("every", ["week", "month"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_the_periods_of_two_years_tile_them(every: Every, zone: str) -> None:
    """No day is left out and none is in two, also over the changes of the clock."""
    after, last = at("2025-12-15T00:00"), None
    for _ in range(104 if every == "week" else 24):
        due = next_due(every, 2, ZoneInfo(zone), after)
        assert due.at > after
        assert last is None or due.first_on == last + timedelta(days=1)
        after, last = due.at, due.last_on
