"""The recent performance of channels, their models and their keys over all processes: from counted
traffic, and from open holds, each of which is a running request."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from billing.prices.name_patterns import matches
from gateway.health.histogram_bounds import FIRST_TOKEN_MS
from gateway.models import Channel, ChannelKeyUse, KeyTrafficBucket, TrafficBucket
from lib import clock

RECENT: Final = dt.timedelta(hours=1)


class Figures(NamedTuple):
    """Requests that ended within the last hour, and running ones."""

    attempts: int = 0
    failed: int = 0
    output_tokens: int = 0
    writing_ms: int = 0
    first_tokens: Sequence[int] = (0,) * len(FIRST_TOKEN_MS)
    in_flight: int = 0

    @property
    def succeeded(self) -> int:
        """The attempts in which the channel did not fail."""
        return self.attempts - self.failed

    @property
    def failing(self) -> bool:
        """Whether more than half of the attempts failed: its badge is then *Failing*."""
        return 2 * self.failed > self.attempts

    @property
    def p50_ms(self) -> int | None:
        return quantile_of(self.first_tokens, FIRST_TOKEN_MS, 50)

    @property
    def p95_ms(self) -> int | None:
        return quantile_of(self.first_tokens, FIRST_TOKEN_MS, 95)

    @property
    def tokens_per_second(self) -> int | None:
        """Output tokens per second while answers are written."""
        return self.output_tokens * 1000 // self.writing_ms if self.writing_ms else None

    def plus(self, other: "Figures") -> "Figures":
        return Figures(
            self.attempts + other.attempts,
            self.failed + other.failed,
            self.output_tokens + other.output_tokens,
            self.writing_ms + other.writing_ms,
            [a + b for a, b in zip(self.first_tokens, other.first_tokens, strict=True)],
            self.in_flight + other.in_flight,
        )


class ChannelFigures:
    """The figures of all channels, or of one, read once for a page."""

    def __init__(self, channel_id: UUID | None = None) -> None:
        self._ended = _ended_figures(
            TrafficBucket.objects.filter(attempts__gt=0), "model", channel_id
        )
        self._under_way = _count_under_way(channel_id)

    def of_channel(self, channel_id: UUID) -> Figures:
        parts = [figures for (id, _), figures in self._ended.items() if id == channel_id]
        running = sum(n for (id, _, _), n in self._under_way.items() if id == channel_id)
        return _sum(parts)._replace(in_flight=running)

    @property
    def in_flight(self) -> int:
        """The running requests of all channels."""
        return sum(self._under_way.values())

    def in_flight_by_channel(self) -> Counter[UUID]:
        """Return the running requests of each channel that has some."""
        running: Counter[UUID] = Counter()
        for (id, _, _), n in self._under_way.items():
            running[id] += n
        return running

    def by_model(self, channel_id: UUID, routes: Iterable[str]) -> list[tuple[str, Figures]]:
        """Return the figures of each name or pattern that the channel serves."""
        patterns = sorted(routes, key=lambda name: ("*" in name, -len(name), name))
        running: Counter[str] = Counter()
        for (id, model, _), n in self._under_way.items():
            if id == channel_id:
                running[next((name for name in patterns if matches(name, model)), "")] += n
        return [
            (name, self._ended.get((channel_id, name), Figures())._replace(in_flight=running[name]))
            for name in sorted(patterns)
        ]

    def by_key(self, channel_id: UUID) -> Mapping[str, Figures]:
        """Return the figures of the provider keys that were used, by the text of their ids."""
        ended = _ended_figures(KeyTrafficBucket.objects.all(), "channel_key", channel_id)
        running: Counter[str] = Counter()
        for (id, _, key), n in self._under_way.items():
            if id == channel_id:
                running[key] += n
        return {
            key: ended.get((channel_id, key), Figures())._replace(in_flight=running[key])
            for key in {key for _, key in ended} | running.keys()
        }


def last_uses(channel: Channel) -> Mapping[UUID, dt.datetime]:
    """Return when each key of the channel was last used by an attempt that has ended, by the keys'
    ids."""
    uses = ChannelKeyUse.objects.filter(key_id__in=[key.id for key in channel.keys.all()])
    return dict(uses.values_list("key_id", "used_at"))


def _ended_figures(
    buckets: QuerySet[Any], part: str, channel_id: UUID | None
) -> Mapping[tuple[UUID, str], Figures]:
    """Return the figures by channel and by model or key. `part` is the buckets' column for the
    latter."""
    buckets = buckets.filter(bucket_at__gt=clock.now() - RECENT)
    if channel_id is not None:
        buckets = buckets.filter(channel_id=channel_id)
    figures: dict[tuple[UUID, str], Figures] = {}
    for row in buckets.values_list(
        "channel_id", part, "attempts", "failed", "output_tokens", "writing_ms", "first_tokens"
    ):
        key = (row[0], row[1])
        figures[key] = figures.get(key, Figures()).plus(Figures(*row[2:]))
    return figures


def _count_under_way(channel_id: UUID | None) -> Mapping[tuple[UUID, str, str], int]:
    """Count the running requests by channel, model and the text of the key's id."""
    with connection.cursor() as cursor:
        cursor.execute(_UNDER_WAY, {"channel": channel_id})
        return {(channel, model, key): n for channel, model, key, n in cursor}


def _sum(parts: Iterable[Figures]) -> Figures:
    whole = Figures()
    for part in parts:
        whole = whole.plus(part)
    return whole


def quantile_of(counts: Sequence[int], bounds: Sequence[int], per_cent: int) -> int | None:
    """Return the value that this percentage of the observations does not exceed, interpolated
    linearly between two bounds of a histogram. None without observations.

    `counts` are cumulative: how many observations are at most each bound.
    """
    if not counts or not counts[-1]:
        return None
    rank, below, low = counts[-1] * per_cent / 100, 0, 0
    for count, bound in zip(counts, bounds, strict=True):
        if count >= rank and count > below:
            return round(low + (bound - low) * (rank - below) / (count - below))
        below, low = count, bound
    return None


_UNDER_WAY: Final = """
    SELECT attempt.channel_id, attempt.model, coalesce(attempt.channel_key_id::text, ''), count(*)
    FROM billing_hold hold
    JOIN usage_attempt attempt
      ON attempt.organisation_id = hold.organisation_id AND attempt.id = hold.id
    WHERE hold.state = 'open' AND hold.own_nano IS NULL
      AND (%(channel)s::uuid IS NULL OR attempt.channel_id = %(channel)s)
    GROUP BY 1, 2, 3"""
