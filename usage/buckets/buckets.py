"""Buckets of time: quarter hours in UTC for storage, and hours to months in a time zone for
reports.

Rows are summed in 15-minute UTC buckets. The edges of a report are UTC instants computed from dates
in its zone (docs/promises.md, "Time"). Every time zone in use keeps its offsets and its changes on
the quarter hour, so a report's bucket is always a whole number of stored ones.

A local day begins at the first instant of its date. That is midnight, unless the clock jumps over
midnight; then it is the instant of the jump. If the clock is set back over midnight, so that
midnight occurs twice, the first one counts, and the repeated time belongs to the day that has
begun. A date that a zone omitted (Samoa, 2011-12-30) has no bucket.
"""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Final, Literal
from zoneinfo import ZoneInfo

from billing.periods.period_starts import Span as Span
from billing.periods.period_starts import first_instant_at

Grain = Literal["15min", "hour", "day", "week", "month"]

BUCKET: Final = timedelta(minutes=15)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
# At most 120 bars in a chart.
_HOURS_UP_TO: Final = 2 * _DAY
_DAYS_UP_TO: Final = 120 * _DAY
_WEEKS_UP_TO: Final = 800 * _DAY


def chart_grain(length: timedelta) -> Grain:
    """Return the bucket size for a chart of that length."""
    if length <= _HOURS_UP_TO:
        return "hour"
    if length <= _DAYS_UP_TO:
        return "day"
    return "week" if length <= _WEEKS_UP_TO else "month"


def bucket_of(instant: datetime) -> datetime:
    """Return the UTC start of the stored bucket that contains an aware instant."""
    return instant.astimezone(UTC) - (instant - _EPOCH) % BUCKET


def first_instant(on: date, zone: ZoneInfo) -> datetime:
    """Return the first instant, in UTC, whose date in `zone` is `on` or, if that date was omitted,
    later."""
    return first_instant_at(datetime.combine(on, time()), zone)


def edges(start_on: date, end_on: date, zone: ZoneInfo, grain: Grain) -> list[Span]:
    """Return the buckets of a report from the date `start_on` to before `end_on` in `zone`.

    They cover the time between the first instants of both dates without gaps or overlaps, and none
    is empty. Weeks begin on Monday and months on the 1st; the dates may cut the first and the last
    bucket. An hour is one of the wall clock: it begins when the clock shows a full hour, or another
    hour than just before. So a repeated hour is two buckets.
    """
    start_at, end_at = first_instant(start_on, zone), first_instant(end_on, zone)
    if grain == "15min":
        inner = _every_bucket(start_at, end_at)
    elif grain == "hour":
        inner = _every_hour(start_at, end_at, zone)
    else:
        inner = [first_instant(on, zone) for on in _bucket_starts(start_on, end_on, grain)]
    cuts = [start_at, *(at for at in inner if start_at < at < end_at), end_at]
    return [Span(a, b) for a, b in pairwise(cuts) if a < b]


def _every_bucket(start_at: datetime, end_at: datetime) -> list[datetime]:
    first = bucket_of(start_at)
    return [first + n * BUCKET for n in range(-(-(end_at - first) // BUCKET))]


def _every_hour(start_at: datetime, end_at: datetime, zone: ZoneInfo) -> list[datetime]:
    cuts = []
    at = start_at
    wall = at.astimezone(zone)
    while at < end_at:
        to_full = _HOUR - timedelta(minutes=wall.minute, seconds=wall.second)
        following = (at + to_full).astimezone(zone)
        if following.utcoffset() != wall.utcoffset():
            following = _next_hour_over_change(at, zone)
        wall = following
        at = wall.astimezone(UTC)
        cuts.append(at)
    return cuts


def _next_hour_over_change(at: datetime, zone: ZoneInfo) -> datetime:
    hour = at.astimezone(zone).hour
    following = (bucket_of(at) + BUCKET).astimezone(zone)
    while following.minute and following.hour == hour:
        following = (following.astimezone(UTC) + BUCKET).astimezone(zone)
    return following


def _bucket_starts(
    start_on: date, end_on: date, grain: Literal["day", "week", "month"]
) -> list[date]:
    days = (start_on + n * _DAY for n in range((end_on - start_on).days))
    if grain == "week":
        return [on for on in days if on.weekday() == 0]
    if grain == "month":
        return [on for on in days if on.day == 1]
    return list(days)
