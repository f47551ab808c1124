"""The sinks of usage that extensions add."""

from functools import cache

from lib.extensions.installed import extend
from usage.sinks.usage_sink import SinkError, UsageCopy, UsageSink


def used_sinks() -> list[UsageSink]:
    """Return the sinks that the installation has configured."""
    return [sink for sink in _sinks().values() if sink.is_used()]


def used_copies() -> list[UsageCopy]:
    """Return those of them that can be asked."""
    return [sink for sink in used_sinks() if isinstance(sink, UsageCopy)]


def differences(sink: UsageCopy) -> list[str]:
    """Return the days whose complete records differ between Postgres and a sink, as text."""
    if sink.complete() is None:
        return ["it is not filled yet"]
    try:
        days = sink.different_days()
    except SinkError as error:
        return [str(error)]
    return [f"{day.copy}: {day.expected} here, {day.found} there" for day in days]


# Read when it is first needed: what extensions add imports rooms that import this.
@cache
def _sinks() -> dict[str, UsageSink]:
    sinks: dict[str, UsageSink] = {}
    extend(sinks, "usage_sink", UsageSink, lambda sink: {sink.name: sink})
    return sinks
