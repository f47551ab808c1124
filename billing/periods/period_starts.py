"""Instants at which periods of local time begin."""

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

_SECOND: Final = timedelta(seconds=1)


class Span(NamedTuple):
    """From `start_at` up to, not including, `end_at`; both in UTC."""

    start_at: datetime
    end_at: datetime


def first_instant_at(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant, in UTC, at which the wall clock of `zone` shows `wall` (naive) or
    later.

    If the clock jumps over `wall`, that is the instant of the jump. If the clock shows `wall`
    twice, it is the first of the two.
    """
    local = wall.replace(tzinfo=zone, fold=0)
    instant = local.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    # `wall` is in a gap. Read with the offset after the gap it is an instant before the jump; read
    # with the offset before the gap it is an instant at or after the jump. The jump lies between.
    before, after = local.replace(fold=1).astimezone(UTC), instant
    offset_before = before.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) // _SECOND // 2 * _SECOND
        if middle.astimezone(zone).utcoffset() == offset_before:
            before = middle
        else:
            after = middle
    return after
