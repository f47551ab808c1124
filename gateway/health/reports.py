"""Combine the web processes' knowledge of channels, so that every page shows the same."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from django.db.models import F, Value
from django.db.models.functions import Extract, Now

from billing.prices.name_patterns import matches
from gateway.breaker.state_names import ChannelStatus, KeyStatus, ModelStatus
from gateway.models import Channel, ChannelReport

LIVE: Final = dt.timedelta(seconds=12)
"""A process that has not reported for this long has ended, and its knowledge is out of date."""
CONDITIONS: Final = ("open", "keys_out", "limited", "models_out", "half_open", "good")
"""The states of a channel, the worst first."""
_KEY_CONDITIONS: Final = ("paused", "limited", "good")


class Trouble(NamedTuple):
    """The state of one channel: `status` is None while it is healthy; `keys` are its active keys in
    order, () if unknown; `models` its resting models by upstream name."""

    status: ChannelStatus | None
    keys: tuple[KeyStatus, ...]
    models: Mapping[str, ModelStatus]


class _Report(NamedTuple):
    """One process's current knowledge of a channel."""

    status: ChannelStatus
    keys: Sequence[KeyStatus]
    models: Mapping[str, ModelStatus]


_NOTHING: Final = Trouble(None, (), {})


class ChannelTroubles:
    """What all processes know now, read once for a page."""

    def __init__(self) -> None:
        self._reports: dict[str, list[_Report]] = {}
        for _, age_s, channels in live_reports():
            for channel_id, report in channels.items():
                status = ChannelStatus(*report["status"])
                status_report = _Report(
                    status._replace(seconds=_remaining_seconds(status.seconds, age_s)),
                    [_later_key(KeyStatus(*key["status"]), age_s) for key in report["keys"]],
                    _later_models(report.get("models", {}), age_s),
                )
                self._reports.setdefault(channel_id, []).append(status_report)

    def of(self, channel: Channel) -> Trouble:
        """Return the worst state that any process reports. A process with newer information shares
        it within seconds."""
        reports = self._reports.get(str(channel.id)) if channel.enabled else None
        if not reports:
            return _NOTHING
        status = min((report.status for report in reports), key=_badness)
        columns = zip(*(report.keys for report in reports), strict=False)
        keys = tuple(min(column, key=_key_badness) for column in columns)
        models: dict[str, ModelStatus] = {}
        for report in reports:
            for name, its in report.models.items():
                models[name] = max(its, models.get(name, its), key=model_badness)
        return Trouble(None if status.condition == "good" else status, keys, models)


def unserved_models(channel: Channel, trouble: Trouble, available: Sequence[Channel]) -> list[str]:
    """Return the models that no channel serves while `channel` is out: none of the `available`
    channels has a route for them. Only a channel with the same conditions can replace one with
    conditions."""
    condition = trouble.status.condition if trouble.status else "good"
    affected = [
        route.model
        for route in channel.routes.all()
        if condition != "models_out" or (route.upstream_model or route.model) in trouble.models
    ]
    served = [
        route.model
        for other in available
        if other.id != channel.id and other.conditions in ({}, channel.conditions)
        for route in other.routes.all()
    ]
    return [name for name in affected if not any(matches(model, name) for model in served)]


def live_reports() -> Iterator[tuple[dt.datetime, float, Mapping[str, Any]]]:
    """Yield the reports of living processes: their time, their age in seconds, and the report of
    each channel by its id."""
    age = Extract(Now() - F("reported_at"), "epoch")
    live = ChannelReport.objects.filter(reported_at__gt=Now() - Value(LIVE)).exclude(channels={})
    yield from live.annotate(age=age).values_list("reported_at", "age", "channels")


def model_badness(status: ModelStatus) -> tuple[int, int]:
    """Return a sort key that is larger for a worse state: more keys, then longer."""
    return status.keys, status.seconds


def _badness(status: ChannelStatus) -> tuple[int, int]:
    return CONDITIONS.index(status.condition), -status.seconds


def _key_badness(status: KeyStatus) -> tuple[int, int]:
    return _KEY_CONDITIONS.index(status.condition), -status.seconds


def _later_key(status: KeyStatus, age_s: float) -> KeyStatus:
    for_s = status.for_s and status.for_s + int(age_s)
    return status._replace(seconds=_remaining_seconds(status.seconds, age_s), for_s=for_s)


def _later_models(models: Mapping[str, Any], age_s: float) -> dict[str, ModelStatus]:
    """Return the models that are still resting."""
    later = {name: ModelStatus(*its) for name, its in models.items()}
    return {
        name: its._replace(seconds=_remaining_seconds(its.seconds, age_s))
        for name, its in later.items()
        if its.seconds > age_s
    }


def _remaining_seconds(seconds: int, age_s: float) -> int:
    return max(seconds - int(age_s), 1) if seconds else 0
