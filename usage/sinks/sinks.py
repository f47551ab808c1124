"""The sinks of usage that extensions add."""

from collections.abc import Sequence
from functools import cache

from lib.extensions.installed import extend
from usage.sinks.usage_sink import SinkError, UsageCopy, UsageSink


def used_sinks() -> list[UsageSink]:
    """Return the sinks that the installation has configured."""
    return [sink for sink in _sinks().values() if sink.is_used()]


def sinks_off() -> list[UsageSink]:
    """Return the sinks that have records from before, but are not configured now."""
    return [sink for sink in _sinks().values() if not sink.is_used() and sink.was_used()]


def sink_titles(names: Sequence[str]) -> list[str]:
    """Return the names of sinks on pages; that of an extension which is off is its own name."""
    return [str(_sinks()[name].title) if name in _sinks() else name for name in names]


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
