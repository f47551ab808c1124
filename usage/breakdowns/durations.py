"""How long requests took over time, compared with the previous period."""

from dataclasses import dataclass, replace

from accounts.access.actors import Actor
from usage.breakdowns.explorer import DAY, Cell, Times, explore
from usage.filters.filters import UsageFilter
from usage.reports.reports import Totals
from usage.rollups.levels import Freshness

UNTIMED = Times(None, None, None)
"""The durations of a period without answers."""


@dataclass(frozen=True)
class Timed:
    """Durations by period. `buckets` are the filter's buckets in order, with their sums; `now` and
    `before` are the whole period and the one before. Unknown durations are None."""

    buckets: list[Cell]
    now: Cell
    before: Cell


def times_over(actor: Actor, usage_filter: UsageFilter, at: Freshness) -> Timed:
    """Return the durations of a filter's requests. Raises TooManyRecords."""
    cells = explore(actor, usage_filter, [DAY], at, timed=True).cells
    buckets = {int(cell.groups[0].value): cell for cell in cells}
    earlier = replace(usage_filter, spans=(usage_filter.previous,))
    return Timed(
        [buckets.get(n, _NOTHING) for n in range(1, len(usage_filter.spans) + 1)],
        whole_of(actor, usage_filter, at),
        whole_of(actor, earlier, at),
    )


def whole_of(actor: Actor, usage_filter: UsageFilter, at: Freshness) -> Cell:
    """Return everything that a filter matches as one cell with durations. Raises TooManyRecords."""
    cells = explore(actor, usage_filter, [], at, timed=True).cells
    return cells[0] if cells else _NOTHING


_NOTHING = Cell((), Totals(), UNTIMED)
