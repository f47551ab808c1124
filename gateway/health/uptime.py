"""The attempts of each channel, hour by hour, from the counted traffic."""

import datetime as dt
from decimal import Decimal
from typing import Final, NamedTuple
from uuid import UUID

from django.db import connection

from lib import clock

HOURS: Final = 24
_HOUR: Final = dt.timedelta(hours=1)
# The rate of failed attempts from which an hour counts as troubled, and as bad.
_SHAKY_PERCENT, _BAD_PERCENT = 1, 20


class UptimeHour(NamedTuple):
    """The attempts that ended in one hour, and how many of them the channel failed."""

    start_at: dt.datetime
    attempts: int
    failed: int

    @property
    def tone(self) -> str:
        """none without an attempt, else ok, warn or bad."""
        if not self.attempts:
            return "none"
        percent = self.failed * 100 // self.attempts
        if not self.failed or percent < _SHAKY_PERCENT:
            return "ok"
        return "bad" if percent >= _BAD_PERCENT else "warn"


class UptimeBar(NamedTuple):
    """An hour and the `d` attribute of its bar: a line in an SVG of 119 by 16 units."""

    hour: UptimeHour
    path: str


class Uptime(NamedTuple):
    """The last 24 hours of a channel, the oldest first. The last hour is not over."""

    hours: list[UptimeHour]

    @property
    def attempts(self) -> int:
        return sum(hour.attempts for hour in self.hours)

    @property
    def answered(self) -> int:
        return self.attempts - sum(hour.failed for hour in self.hours)

    @property
    def percent(self) -> Decimal:
        """The percentage of answered attempts, 0 to 100 with two decimals."""
        share = Decimal(self.answered) * 100 / max(1, self.attempts)
        return share.quantize(Decimal("0.01"))

    @property
    def ok_path(self) -> str:
        return self._path("ok")

    @property
    def empty_path(self) -> str:
        return self._path("none")

    @property
    def troubled(self) -> list[UptimeBar]:
        """The hours with details on hover. The other hours share one path per tone, because with an
        element for every hour a page of channels would take a quarter of a megabyte."""
        return [bar for bar in self._bars if bar.hour.tone in ("warn", "bad")]

    @property
    def troubled_at(self) -> str:
        """The starts of the troubled hours, in UTC: `04:00, 17:00`."""
        return ", ".join(f"{bar.hour.start_at:%H:%M}" for bar in self.troubled)

    @property
    def _bars(self) -> list[UptimeBar]:
        # An hour with failures is also shorter, and one without an attempt is a dot, so that colour
        # is not the only sign.
        tops = {"warn": 5, "bad": 10, "none": 14}
        return [
            UptimeBar(hour, f"M{5 * n + 2} {tops.get(hour.tone, 0)}V16")
            for n, hour in enumerate(self.hours)
        ]

    def _path(self, tone: str) -> str:
        return "".join(bar.path for bar in self._bars if bar.hour.tone == tone)


def uptime_by_channel(channel_id: UUID | None = None) -> dict[UUID, Uptime]:
    """Return the last 24 hours of every channel that received requests, or of the given channel."""
    first = clock.now().replace(minute=0, second=0, microsecond=0) - (HOURS - 1) * _HOUR
    counted: dict[UUID, dict[int, tuple[int, int]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_HOURS, {"first": first, "channel": channel_id})
        for channel, n, attempts, failed in cursor:
            counted.setdefault(channel, {})[n] = (attempts, failed)
    return {
        channel: Uptime(
            [UptimeHour(first + n * _HOUR, *hours.get(n, (0, 0))) for n in range(HOURS)]
        )
        for channel, hours in counted.items()
    }


_HOURS: Final = """
    SELECT channel_id, floor(extract(epoch FROM bucket_at - %(first)s) / 3600)::int AS n,
           sum(attempts)::bigint, sum(failed)::bigint
    FROM gateway_trafficbucket
    WHERE bucket_at >= %(first)s AND attempts > 0
      AND (%(channel)s::uuid IS NULL OR channel_id = %(channel)s)
    GROUP BY 1, 2"""
