"""The sinks of the content log that extensions add: where what is kept is sent as well."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from lib.extensions.installed import extend


class ContentBacklog(NamedTuple):
    """The state of a sink: `waiting` entries are not sent yet, of which a sink counts only so many.
    It has all entries that were written up to `complete_to`; None until the first fill is complete.
    `error` is that of the last run, "" for none. `expired` entries expired before they were
    sent."""

    waiting: int
    complete_to: dt.datetime | None
    error: str
    expired: int


@dataclass(frozen=True, kw_only=True)
class ContentSink:
    """A sink. Its own job sends the entries. While it is not used, only `is_used` is called."""

    name: str
    """The name of its backlog in metrics and in the management API."""

    title: Any
    """Its name on pages: a text, or a lazy translation."""

    is_used: Callable[[], bool]
    """Whether the installation has configured it."""

    backlog: Callable[[], ContentBacklog]
    """The entries that are not sent yet."""

    count_expired: Callable[[dt.datetime], None]
    """Count the entries that are dropped at a time, and that it does not have. The transaction
    that calls it drops them."""


def used_content_sinks() -> list[ContentSink]:
    """Return the sinks that the installation has configured."""
    return [sink for sink in _sinks().values() if sink.is_used()]


# Read when it is first needed: what extensions add imports rooms that import this.
@cache
def _sinks() -> dict[str, ContentSink]:
    sinks: dict[str, ContentSink] = {}
    extend(sinks, "content_sink", ContentSink, lambda sink: {sink.name: sink})
    return sinks
