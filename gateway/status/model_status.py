"""The status of each model, from the counted traffic, the channels' states and their last tests."""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from django.core.cache import cache
from django.db import connection

from accounts.access.actors import Actor
from billing.prices.name_patterns import matches
from gateway.health.reports import ChannelTroubles
from gateway.health.uptime import Uptime, UptimeHour
from gateway.listed_models.shown_models import models_for
from gateway.models import Channel
from gateway.status.rules import ServedBy, State, TestResult, state_of
from lib import clock
from lib.database.tenancy import use_tenant

_HOUR: Final = dt.timedelta(hours=1)
_DAYS: Final = 7
_PER_DAY: Final = 24
# The hours of one bar in the week's chart.
_HOURS_A_BAR: Final = 7
_RECENT: Final = dt.timedelta(minutes=15)
_CACHED_S: Final = 15
_CACHE_KEY: Final = "model-status"


class ModelStatus(NamedTuple):
    """One model, or a pattern of models. `day` has a bar for each hour, `week` one for several
    hours."""

    model: str
    state: State
    day: Uptime
    week: Uptime


def visible_statuses(actor: Actor | None) -> list[ModelStatus]:
    """Return the status of the models that the actor may choose; for None, of those that anybody
    may."""
    with use_tenant(None):
        statuses: list[ModelStatus] = cache.get_or_set(_CACHE_KEY, model_statuses, _CACHED_S) or []
    names = [model.name for model in models_for(actor)]
    return [status for status in statuses if any(matches(status.model, name) for name in names)]


def model_statuses() -> list[ModelStatus]:
    """Return the status of all models that an enabled channel serves, by name."""
    serving = _serving()
    first = clock.now().replace(minute=0, second=0, microsecond=0)
    first -= (_DAYS * _PER_DAY - 1) * _HOUR
    hours, recent = _hours(first), _recent()
    return [
        _status(model, channels, recent.get(model, (0, 0)), hours.get(model, {}), first)
        for model, channels in sorted(serving.items())
    ]


def _status(
    model: str,
    channels: Sequence[ServedBy],
    recent: tuple[int, int],
    hours: Mapping[int, tuple[int, int]],
    first: dt.datetime,
) -> ModelStatus:
    bars = [UptimeHour(first + n * _HOUR, *hours.get(n, (0, 0))) for n in range(_DAYS * _PER_DAY)]
    week = [_sum_hours(bars[n : n + _HOURS_A_BAR]) for n in range(0, len(bars), _HOURS_A_BAR)]
    answered = any(hour.attempts > hour.failed for hour in bars)
    state = state_of(*recent, channels, answered=answered)
    return ModelStatus(model, state, Uptime(bars[-_PER_DAY:]), Uptime(week))


def _sum_hours(hours: Sequence[UptimeHour]) -> UptimeHour:
    return UptimeHour(
        hours[0].start_at, sum(hour.attempts for hour in hours), sum(hour.failed for hour in hours)
    )


def _serving() -> Mapping[str, Sequence[ServedBy]]:
    troubles = ChannelTroubles()
    serving: defaultdict[str, list[ServedBy]] = defaultdict(list)
    for channel in Channel.objects.filter(enabled=True).prefetch_related("routes"):
        status = troubles.of(channel).status
        one = ServedBy(status.condition if status else "good", _test_result(channel))
        for route in channel.routes.all():
            serving[route.model].append(one)
    return serving


def _test_result(channel: Channel) -> TestResult:
    if channel.last_test is None:
        return "untested"
    return "passed" if channel.last_test["ok"] else "failed"


def _hours(first: dt.datetime) -> Mapping[str, Mapping[int, tuple[int, int]]]:
    hours: defaultdict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(_HOURLY, {"first": first})
        for model, n, requests, failed in cursor:
            hours[model][n] = (requests, failed)
    return hours


def _recent() -> Mapping[str, tuple[int, int]]:
    with connection.cursor() as cursor:
        cursor.execute(_LATEST, {"since": clock.now() - _RECENT})
        return {model: (requests, failed) for model, requests, failed in cursor}


_HOURLY: Final = """
    SELECT model, floor(extract(epoch FROM bucket_at - %(first)s) / 3600)::int AS n,
           sum(requests)::bigint, sum(failed_requests)::bigint
    FROM gateway_trafficbucket WHERE bucket_at >= %(first)s GROUP BY 1, 2"""
_LATEST: Final = """
    SELECT model, sum(requests)::bigint, sum(failed_requests)::bigint
    FROM gateway_trafficbucket WHERE bucket_at > %(since)s GROUP BY 1"""
