"""Usage by one or two groupings. The cells add up to the underlying records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from accounts.access.actors import Actor
from usage.buckets.buckets import Span
from usage.filters.filters import UsageFilter
from usage.filters.groupings import OVERLAPPING
from usage.filters.visibility import NIL, Where, run
from usage.reports.reports import COMMON_SUMS, Totals, other_meters, sum_of, summed_meters
from usage.reports.sink_figures import from_sink, totals_of
from usage.reports.used_rows import join_spans, used_rows
from usage.rollups.histograms import SHARES, digits_sql, quantiles_of, stored_value
from usage.rollups.levels import Freshness, read_freshness
from usage.rollups.sums import MERGED_SAVED, MERGED_TIMES, SHOWN_OWN, TIMES
from usage.sinks.usage_sink import FigureReader

CELLS_MAX: Final = 5000
"""The maximum number of cells. The cheapest beyond it are combined."""

Axis = str
"""An axis of a cell: a `GroupBy`, or `DAY`, a bucket of the filter."""


class Group(NamedTuple):
    """One group: `value` is the filter value (for a bucket its number from 1), empty for rows
    without one; `label` is its display name."""

    value: str
    label: str


Quantiles = tuple[int, int, int]


class Times(NamedTuple):
    """The durations of answered requests, in milliseconds; None if unknown. Each has the
    percentiles of `usage/rollups/histograms.py`, within 2 %. `rate_tenths` are tenths of output
    tokens per second between the first and the last token."""

    ttft: Quantiles | None
    total: Quantiles | None
    rate_tenths: int | None


@dataclass(frozen=True)
class Cell:
    """The sums of one group per axis. `times` is None if not requested, or unknown because some
    rows were summed before times were kept."""

    groups: tuple[Group, ...]
    totals: Totals
    times: Times | None = None


@dataclass(frozen=True)
class Explored:
    """The cells, the most expensive first, and the sums of everything that the filter matches, each
    request counted once. `more` says that there are further cells."""

    cells: list[Cell]
    total: Totals
    more: bool = False


def explore(
    actor: Actor,
    usage_filter: UsageFilter,
    by: Sequence[Axis],
    at: Freshness | None = None,
    *,
    limit: int = CELLS_MAX,
    timed: bool = False,
    bounded: bool = True,
) -> Explored:
    """Return the cells of one or two axes; without an axis, one cell of everything. `timed`
    includes their durations. With `bounded`, raises TooManyRecords if too many single records would
    have to be read."""
    scope = usage_filter.scope
    spans: Sequence[Span] = usage_filter.spans
    at = at or read_freshness()
    answer = from_sink(
        actor, scope, spans, at, lambda reader: _explore_sink(reader, spans, by, limit, timed)
    )
    if answer is not None:
        return answer
    groups = [axis for axis in by if axis != DAY]
    if DAY not in by:
        # Days are read in UTC, whatever the report's time zone.
        spans = join_spans(spans)
    rows = used_rows(actor, scope, spans, groups, at, bounded=bounded)
    ids = f"ARRAY[{', '.join(_IDS[axis] for axis in by)}]::text[]"
    sums = _sums(rows, spans, ids, limit + 1, timed=timed)
    more = len(sums) > limit
    if more or OVERLAPPING.intersection(by):
        untagged = [name for name in groups if name != "tag"]
        whole = used_rows(actor, scope, spans, untagged, at, bounded=bounded)
        totals = [row.totals for row in _sums(whole, spans, "ARRAY[]::text[]", 1)]
    else:
        totals = [row.totals for row in sums]
    return Explored(_name_cells(by, sums[:limit]), sum_of(totals), more)


def _explore_sink(
    reader: FigureReader, spans: Sequence[Span], by: Sequence[Axis], limit: int, timed: bool
) -> Explored:
    """Return the same as `explore`, read from a sink, which has durations for any number of
    requests."""
    group_rows = _sink_rows(reader, spans, by, limit + 1, timed)
    more = len(group_rows) > limit
    overlapping = OVERLAPPING.intersection(by)
    whole = _sink_rows(reader, spans, (), 1, False) if more or overlapping else group_rows
    return Explored(
        _name_cells(by, group_rows[:limit]), sum_of([row.totals for row in whole]), more
    )


def _sink_rows(
    reader: FigureReader, spans: Sequence[Span], by: Sequence[Axis], limit: int, timed: bool
) -> list["_Row"]:
    return [
        _Row(
            cell.ids,
            cell.channel_name,
            totals_of(cell),
            Times(_read_quantiles(cell.ttft), _read_quantiles(cell.total), cell.rate_tenths)
            if timed
            else None,
        )
        for cell in reader.cells(spans, by, limit, timed=timed)
    ]


class _Row(NamedTuple):
    ids: list[str]
    channel_name: str
    totals: Totals
    times: Times | None


def _sums(
    rows: Where, spans: Sequence[Span], ids: str, limit: int, *, timed: bool = False
) -> list[_Row]:
    result_rows = run(
        f"""
        WITH sums AS (
            SELECT {ids} AS id, max(r.channel_name) AS channel_name,
                   sum(r.requests)::bigint AS requests, sum(r.errors)::bigint AS errors,
                   sum(r.charge_nano)::bigint AS charge_nano, {MERGED_SAVED}, {SHOWN_OWN},
                   {COMMON_SUMS},
                   {MERGED_TIMES if timed else _NO_TIMES}
            FROM {rows.text} r GROUP BY 1
        ){other_meters(ids, rows.text)}
        SELECT g.id, g.channel_name, g.requests, g.errors, g.charge_nano,
               g.meters || coalesce(o.meters, '{{}}'), g.saved_nano, g.own_nano, {_DIGITS},
               g.timed_tokens, g.timed_ms
        FROM sums g LEFT JOIN other o USING (id)
        ORDER BY g.charge_nano DESC, g.requests DESC, g.id LIMIT %(limit)s""",  # noqa: S608 - own names only
        {**rows.parameters, "starts": [span.start_at for span in spans], "limit": limit},
    )
    return [
        _Row(
            ids_,
            name,
            Totals(requests, errors, charge_nano, summed_meters(meters), saved, own),
            times_of(*times),
        )
        for ids_, name, requests, errors, charge_nano, meters, saved, own, *times in result_rows
    ]


def times_of(
    total: str | None, ttft: str | None, timed_tokens: int | None, timed_ms: int | None
) -> Times | None:
    """Return merged durations from the histograms' digits, or None without histograms."""
    if total is None or ttft is None:
        return None
    # Rounded half up.
    rate = ((timed_tokens or 0) * 20_000 + timed_ms) // (2 * timed_ms) if timed_ms else None
    return Times(_three(ttft), _three(total), rate)


def _three(histogram: str) -> Quantiles | None:
    quantiles = quantiles_of(histogram, SHARES)
    return (quantiles[0], quantiles[1], quantiles[2]) if quantiles else None


def _read_quantiles(times: list[int] | None) -> Quantiles | None:
    """Return exact durations, rounded to the values that the sums would give."""
    return (
        (stored_value(times[0]), stored_value(times[1]), stored_value(times[2])) if times else None
    )


def _name_cells(by: Sequence[Axis], rows: Sequence[_Row]) -> list[Cell]:
    """Return the cells with names for groups that only have an id."""
    names = [
        groups_of(axis, {row.ids[place]: row.channel_name for row in rows})
        for place, axis in enumerate(by)
    ]
    return [
        Cell(
            tuple(
                known.get(id, Group(id if axis == "key" else "", ""))
                for axis, known, id in zip(by, names, row.ids, strict=True)
            ),
            row.totals,
            row.times,
        )
        for row in rows
    ]


def groups_of(axis: Axis, channel_names: Mapping[str, str]) -> Mapping[str, Group]:
    """Return the groups of an axis by id. The ids are the keys of `channel_names`. Groups whose
    names no longer exist are left out."""
    if axis in _NAMES:
        name_rows = run(_NAMES[axis], {"ids": list(channel_names)})
        return {id: Group(value, label) for id, value, label in name_rows}
    if axis == "channel":
        return {id: Group(id, name) for id, name in channel_names.items() if id != str(NIL)}
    return {id: Group(id, id) for id in channel_names}


DAY: Final = "day"
_IDS: Final[Mapping[str, str]] = {
    "model": "r.model",
    "key": "r.key_id::text",
    "user": "r.user_id::text",
    "team": "r.team_id::text",
    "channel": "r.channel_id::text",
    "project": "r.project",
    "customer": "r.customer",
    "end_user": "r.end_user",
    "tag": "r.tag",
    "app": "r.app",
    "status": "r.status",
    DAY: "width_bucket(r.bucket_at, %(starts)s::timestamptz[])::text",
}
# (id, filter value, label); the ids are from rows that the actor may see.
_NAMES: Final[Mapping[str, str]] = {
    "key": "SELECT id::text, id::text, name FROM accounts_key WHERE id = ANY (%(ids)s::uuid[])",
    "user": "SELECT id::text, email, email FROM accounts_user WHERE id = ANY (%(ids)s::bigint[])",
    "team": "SELECT id::text, slug, name FROM accounts_team WHERE id = ANY (%(ids)s::uuid[])",
}
_NO_TIMES: Final = ", ".join(f"NULL::numeric AS {name}" for name in TIMES)
_DIGITS: Final = ", ".join(digits_sql(f"g.{name}") for name in TIMES[:2])
