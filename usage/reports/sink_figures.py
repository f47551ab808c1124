"""Figures of usage from a sink, which are the same as those from Postgres. Postgres has all records
too, and answers whatever a sink cannot."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from accounts.access.actors import Actor
from usage.buckets.buckets import Span
from usage.filters.filters import Scope
from usage.reports.reports import Totals, summed_meters
from usage.rollups.levels import Freshness
from usage.sinks.usage_sink import CellRow, FigureReader

T = TypeVar("T")


def from_sink(
    actor: Actor,
    scope: Scope,
    spans: Sequence[Span],
    at: Freshness,
    ask: Callable[[FigureReader], T],
) -> T | None:
    """Return what a sink answers, or None if none has all of the spans or can answer. The caller
    then reads from Postgres."""
    copy = at.copy_of(spans)
    if copy is None:
        return None
    answer: T | None = copy.sink.read(actor, scope, ask)
    return answer


def totals_of(cell: CellRow) -> Totals:
    """Return the sums of a cell."""
    meters = summed_meters(cell.meters)
    return Totals(
        cell.requests, cell.errors, cell.charge_nano, meters, cell.saved_nano, cell.own_nano
    )
