"""When a report by email is due, and which days it covers."""

from datetime import date, datetime, time, timedelta
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from billing.periods.period_starts import first_instant_at

Every = Literal["week", "month"]

HOUR: Final = 8
"""The default hour of a report."""
_DAY: Final = timedelta(days=1)


class Due(NamedTuple):
    """The instant of a report, in UTC, and the first and last day that it covers."""

    at: datetime
    first_on: date
    last_on: date


def next_due(every: Every, hour: int, zone: ZoneInfo, after: datetime) -> Due:
    """Return the first report after an instant. A weekly report is due on the Monday after its
    week, a monthly one on the 1st after its month, when the clock in `zone` first shows `hour` or
    later."""
    begin = _begin_of(every, after.astimezone(zone).date())
    while True:
        at = first_instant_at(datetime.combine(begin, time(hour)), zone)
        if at > after:
            return Due(at, _begin_of(every, begin - _DAY), begin - _DAY)
        begin = _begin_after(every, begin)


def _begin_of(every: Every, on: date) -> date:
    return on.replace(day=1) if every == "month" else on - on.weekday() * _DAY


def _begin_after(every: Every, begin: date) -> date:
    return _begin_of(every, begin + (32 if every == "month" else 7) * _DAY)
