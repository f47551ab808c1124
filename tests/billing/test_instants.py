import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from billing.periods.period_starts import first_instant_at


@pytest.mark.parametrize(
    ("wall", "zone", "instant"),
    [
        ("2026-06-01T09:30", "Asia/Shanghai", "2026-06-01T01:30Z"),
        # In the gap, and at its first moment; shown twice.
        ("2026-03-29T02:30", "Europe/Berlin", "2026-03-29T01:00Z"),
        ("2026-03-29T02:00", "Europe/Berlin", "2026-03-29T01:00Z"),
        ("2026-10-25T02:30", "Europe/Berlin", "2026-10-25T00:30Z"),
        # Half an hour is left out; a whole day is.
        ("2026-10-04T02:15", "Australia/Lord_Howe", "2026-10-03T15:30Z"),
        ("2011-12-30T12:00", "Pacific/Apia", "2011-12-30T10:00Z"),
    ],
)
def test_first_instant_at(wall: str, zone: str, instant: str) -> None:
    result = first_instant_at(dt.datetime.fromisoformat(wall), ZoneInfo(zone))
    assert result == dt.datetime.fromisoformat(instant)
