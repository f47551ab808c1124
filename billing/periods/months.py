"""Calendar months in a time zone."""

import datetime as dt
from zoneinfo import ZoneInfo

from billing.periods.period_starts import Span, first_instant_at


def month_span(month: dt.date, zone: ZoneInfo) -> Span:
    """Return the calendar month that begins on that day in the zone, as instants in UTC."""
    return Span(_begin(month, zone), _begin(month_after(month), zone))


def month_after(month: dt.date) -> dt.date:
    return (month + dt.timedelta(days=32)).replace(day=1)


def last_month(now: dt.datetime, zone: ZoneInfo) -> dt.date:
    """Return the first day of the latest month that has ended in the zone."""
    this = now.astimezone(zone).date().replace(day=1)
    if now < _begin(this, zone):
        this = (this - dt.timedelta(days=1)).replace(day=1)
    return (this - dt.timedelta(days=1)).replace(day=1)


def _begin(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    return first_instant_at(dt.datetime.combine(day, dt.time()), zone)
