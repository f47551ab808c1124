"""A sink of usage as data: where an extension sends the usage records, and a copy among these, from
which reports can be read."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

from accounts.access.actors import Actor
from usage.buckets.buckets import Span
from usage.filters.filters import Metric, Scope
from usage.filters.groupings import GroupBy

WAITING_MAX: Final = 100_000
"""Waiting records are counted only up to this number."""


class SinkError(Exception):
    """A sink is unavailable, or refuses what was asked. The text says why, and quotes no rows."""


class Backlog(NamedTuple):
    """The state of a sink: `waiting` records, WAITING_MAX if there are more, are not sent yet.
    `complete_to` is None until the first fill is complete. `error` is that of the last run, "" for
    none."""

    waiting: int
    complete_to: dt.datetime | None
    error: str


class DifferentDay(NamedTuple):
    """A day on which the records in Postgres (`expected`) and in a sink (`found`) differ."""

    copy: str
    expected: str
    found: str


class CellRow(NamedTuple):
    """The sums of a cell, by the ids of its groups: for a bucket the bucket's number from 1, for a
    missing key or channel the nil id. `meters` may contain zeros. `ttft` and `total` are the
    milliseconds that each of `usage.rollups.histograms.SHARES` of 100 answers took at most,
    `rate_tenths` tenths of output tokens per second; None without durations."""

    ids: list[str]
    channel_name: str
    requests: int
    errors: int
    charge_nano: int
    meters: Mapping[str, int]
    saved_nano: int | None
    own_nano: int | None
    ttft: list[int] | None
    total: list[int] | None
    rate_tenths: int | None


class Largest(NamedTuple):
    """A group by its id, the newest name if it is a channel, and its figure."""

    id: str
    channel_name: str
    value: int


class Part(NamedTuple):
    """A figure of a bucket, by its number from 1. `id` None combines all groups except the
    largest."""

    n: int
    id: str | None
    value: int


class FigureReader(Protocol):
    """Reads what an actor may see and a scope matches. Its methods raise SinkError."""

    def of_keys(self, keys: Sequence[str]) -> "FigureReader":
        """Return the same reader, limited to these keys."""

    def cells(
        self,
        spans: Sequence[Span],
        by: Sequence[str],
        limit: int,
        *,
        metered: bool = True,
        timed: bool = False,
    ) -> list[CellRow]:
        """Return the most expensive cells of some groupings. The grouping "day" is a bucket of the
        spans. Without `metered` the cells have no meters."""

    def largest(
        self, spans: Sequence[Span], by: GroupBy, metric: Metric, limit: int
    ) -> list[Largest]:
        """Return the groups with the most, the largest first."""

    def parts(
        self, spans: Sequence[Span], by: GroupBy, metric: Metric, groups: Sequence[str]
    ) -> list[Part]:
        """Return the figures of the non-empty buckets, by these groups and all others as one."""


@dataclass(frozen=True, kw_only=True)
class UsageSink:
    """A sink. Its own job sends the records. While it is unused, only `is_used` and `was_used` are
    called."""

    name: str
    """The name of its backlog in metrics and in the management API."""

    title: Any
    """Its name on pages: a text, or a lazy translation."""

    is_used: Callable[[], bool]
    """Whether the installation has configured it."""

    was_used: Callable[[], bool]
    """Whether records were ever sent to it."""

    backlog: Callable[[], Backlog]
    """The records that are not sent yet."""

    forget_person: Callable[[int, Sequence[str], str, Sequence[UUID]], None]
    """Erase a user, by the id and the addresses, which the pseudonym replaces, in the records of
    some organisations. Can be repeated. Raises SinkError."""


@dataclass(frozen=True, kw_only=True)
class UsageCopy(UsageSink):
    """A sink that can be asked."""

    complete: Callable[[], Span | None]
    """The times of admission between which it has all records; None before the first fill."""

    different_days: Callable[[], list[DifferentDay]]
    """The complete days that differ from Postgres. Raises SinkError."""

    read: Callable[[Actor, Scope, Callable[[FigureReader], Any]], Any]
    """What the function returns for a reader; None if the sink cannot answer for this scope, or
    fails."""
