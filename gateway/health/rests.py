"""The last rest of each channel: when its breaker was open or all its keys were paused, and why.

The web processes report only what holds now (relay/health/health_sharing.py). This job keeps the
last rest of each channel, so that an operator can see why a channel rested after it woke.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection

from gateway.breaker.breaker import BreakerRule
from gateway.health.reports import live_reports
from gateway.health.traffic import CHANNEL_FAULTS
from gateway.models import Channel, ChannelRest
from lib import clock

# Attempts that end in the same moment as the one that opens the breaker are counted too.
_AFTER: Final = dt.timedelta(seconds=2)
# How long before its end an attempt that is counted may have been admitted.
_LONGEST: Final = dt.timedelta(seconds=60)


class _Seen(NamedTuple):
    """What one process reports of a channel: whether it rests, since when, and why."""

    rests: bool
    since: dt.datetime
    kind: str


def last_rest(channel: Channel) -> ChannelRest | None:
    """Return the last rest of a channel, or None."""
    return ChannelRest.objects.filter(channel=channel).first()


def note_rests() -> int:
    """Store which channels rest now, and which of them woke. Return how many rests began or ended.
    Several processes may run this concurrently."""
    seen = _read_reports()
    resting = {id: one for id, one in seen.items() if one.rests}
    known = {rest.channel_id: rest for rest in ChannelRest.objects.filter(ended_at=None)}
    channels = Channel.objects.in_bulk(set(resting) - set(known))
    for channel in channels.values():
        one = resting[channel.id]
        ChannelRest.objects.update_or_create(
            channel=channel,
            defaults={"began_at": one.since, "ended_at": None, "kind": one.kind}
            | _count_before(channel, one.since),
        )
    ended = [rest for id, rest in known.items() if id not in resting]
    for rest in ended:
        woke = seen.get(rest.channel_id)
        at = clock.now() if woke is None else max(woke.since, rest.began_at)
        # What failed last was settled meanwhile.
        counted = _count_before(rest.channel, rest.began_at)
        ChannelRest.objects.filter(pk=rest.pk, ended_at=None).update(ended_at=at, **counted)
    return len(channels) + len(ended)


def _read_reports() -> dict[UUID, _Seen]:
    """Return what all processes report. A channel rests while it does for one of them; its rest
    began with the first and ended with the last of them."""
    seen: dict[UUID, _Seen] = {}
    for reported_at, _, channels in live_reports():
        for channel_id, report in channels.items():
            one = _read_report(report, reported_at)
            other = seen.get(UUID(channel_id), one)
            if one.rests == other.rests:
                first = min if one.rests else max
                since = first(one.since, other.since)
                one = _Seen(one.rests, since, one.kind or other.kind)
            elif other.rests:
                one = other
            seen[UUID(channel_id)] = one
    return seen


def _read_report(report: Mapping[str, Any], at: dt.datetime) -> _Seen:
    condition, _, kind = report["status"]
    ages = [report["age_s"]]
    if condition == "keys_out":
        ages = [key["age_s"] for key in report["keys"]]
    rests = report["out"] or condition == "keys_out"
    return _Seen(rests, at - dt.timedelta(seconds=min(ages, default=0)), kind or "")


def _count_before(channel: Channel, began_at: dt.datetime) -> dict[str, int]:
    """Count the attempts of the breaker's window before a rest, and those that the channel
    failed."""
    window = dt.timedelta(seconds=channel.breaker.get("window", BreakerRule().window))
    with connection.cursor() as cursor:
        cursor.execute(
            _COUNT,
            {
                "channel": channel.id,
                "admitted": began_at - window - _LONGEST,
                "first": began_at - window,
                "last": began_at + _AFTER,
                "faults": list(CHANNEL_FAULTS),
            },
        )
        attempts, failed = cursor.fetchone()
    return {"attempts": attempts, "failed": failed}


# Records are found by their admission, which has an index.
_COUNT: Final = """
    SELECT count(*), count(*) FILTER (WHERE kind = ANY (%(faults)s))
    FROM usage_usagerecord
    WHERE admitted_at BETWEEN %(admitted)s AND %(last)s
      AND ended_at BETWEEN %(first)s AND %(last)s
      AND channel_id = %(channel)s AND own_nano IS NULL"""
