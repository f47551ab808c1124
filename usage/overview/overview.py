"""All figures of the page of usage, read from the sums in one statement."""

from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from accounts.access.actors import Actor
from usage.breakdowns.explorer import DAY, explore, groups_of
from usage.filters.filters import UsageFilter
from usage.filters.visibility import run
from usage.records.counted_meters import TOKEN_METERS
from usage.reports.reports import (
    COMMON_SUMS,
    GROUPS,
    METRICS,
    RANKED,
    SERIES_MAX,
    Group,
    Series,
    Totals,
    other_meters,
    series_of,
    series_parts,
    summed_meters,
)
from usage.reports.sink_figures import from_sink, totals_of
from usage.reports.used_rows import used_rows
from usage.rollups.levels import Freshness
from usage.rollups.sums import MERGED_SAVED, SHOWN_OWN
from usage.sinks.usage_sink import FigureReader


@dataclass(frozen=True)
class Overview:
    """`buckets` are the sums of the filter's buckets, in their order, and `before` those of the
    previous period. `keys` are the most expensive keys with their earlier figures."""

    buckets: list[Totals]
    before: Totals
    series: Series
    keys: list[tuple[Group, Totals]]


def overview(actor: Actor, usage_filter: UsageFilter, at: Freshness, *, keys: int) -> Overview:
    """Return the figures of a filter, with at most `keys` keys."""
    previous, spans = usage_filter.previous, usage_filter.spans
    answer = from_sink(
        actor,
        usage_filter.scope,
        [previous, *spans],
        at,
        lambda reader: _overview_from_sink(reader, usage_filter, keys),
    )
    if answer is not None:
        return answer
    groups = [usage_filter.group_by]
    # A range of more than a year overlaps the same time a year ago. No row may be counted in both.
    overlaps = previous.end_at > usage_filter.start_at
    runs = [spans] if overlaps else [[previous], spans]
    read = [span for run_ in runs for span in run_]
    rows = used_rows(actor, usage_filter.scope, read, groups, at, runs=runs)
    parameters = {
        **rows.parameters,
        "starts": [previous.start_at, *(span.start_at for span in spans)],
        "token_meters": TOKEN_METERS,
        "most": SERIES_MAX + 1,
    }
    totals: dict[int, Totals] = {}
    parts: list[tuple[Any, ...]] = []
    now: list[Group] = []
    before: dict[str, Totals] = {}
    with transaction.atomic():
        # Force hash aggregates: sorting all rows for one of them would need the disk.
        run(_HASHED, {})
        result_rows = run(_overview_sql(usage_filter, rows.text), parameters)
    for (
        kind,
        n,
        place,
        value,
        label,
        requests,
        errors,
        charge_nano,
        figure,
        meters,
        saved,
        own,
    ) in result_rows:
        summed_up = Totals(requests, errors, charge_nano, summed_meters(meters), saved, own)
        if kind == "bucket":
            totals[n] = summed_up
        elif kind == "part":
            parts.append((n, place, value, label, figure))
        elif n:
            now.append(Group(value, label, summed_up))
        else:
            before[value] = summed_up
    if overlaps:
        earlier = explore(actor, replace(usage_filter, spans=(previous,)), ["key"], at)
        totals[0] = earlier.total
        before = {cell.groups[0].value: cell.totals for cell in earlier.cells}
    now.sort(key=lambda one: (-one.totals.charge_nano, -one.totals.requests, UUID(one.id)))
    return Overview(
        [totals.get(n, Totals()) for n in range(1, len(spans) + 1)],
        totals.get(0, Totals()),
        series_of(usage_filter, parts),
        [(group, before.get(group.id, Totals())) for group in now[:keys]],
    )


def _overview_from_sink(reader: FigureReader, usage_filter: UsageFilter, keys: int) -> Overview:
    """Return the same figures from a sink."""
    previous, spans = usage_filter.previous, usage_filter.spans
    buckets = {int(cell.ids[0]): totals_of(cell) for cell in reader.cells(spans, [DAY], len(spans))}
    dearest = reader.cells(spans, ["key"], keys, metered=False)
    ids = [cell.ids[0] for cell in dearest]
    earlier = reader.of_keys(ids).cells([previous], ["key"], keys, metered=False) if ids else ()
    before = {cell.ids[0]: totals_of(cell) for cell in earlier}
    names = groups_of("key", dict.fromkeys(ids, ""))
    now = [
        Group(id, names[id].label if id in names else "", totals_of(cell))
        for id, cell in zip(ids, dearest, strict=True)
    ]
    return Overview(
        [buckets.get(n, Totals()) for n in range(1, len(spans) + 1)],
        next((totals_of(cell) for cell in reader.cells([previous], [], 1)), Totals()),
        series_of(usage_filter, _parts_from_sink(reader, usage_filter)),
        [(group, before.get(group.id, Totals())) for group in now],
    )


def _parts_from_sink(reader: FigureReader, usage_filter: UsageFilter) -> list[tuple[Any, ...]]:
    spans, by, metric = usage_filter.spans, usage_filter.group_by, usage_filter.metric
    largest = reader.largest(spans, by, metric, SERIES_MAX)
    places = {row.id: place for place, row in enumerate(largest, start=1)}
    names = groups_of(by, {row.id: row.channel_name for row in largest})
    parts: list[tuple[Any, ...]] = []
    for n, id, value in reader.parts(spans, by, metric, list(places)):
        group = names.get(id) if id is not None else None
        value_, label = (group.value, group.label) if group else ("", "")
        if by == "key" and id is not None:
            value_ = id
        parts.append((n, places[id] if id is not None else SERIES_MAX + 1, value_, label, value))
    return parts


_HASHED: Final = """
    SELECT set_config('work_mem', '64MB', true), set_config('enable_sort', 'off', true)"""
# The previous period is bucket 0. Each row is read once, and counted in three ways.
_N: Final = "(width_bucket(r.bucket_at, %(starts)s::timestamptz[]) - 1)"


def _overview_sql(usage_filter: UsageFilter, rows: str) -> str:
    group, key = GROUPS[usage_filter.group_by], GROUPS["key"]
    return f"""
    WITH sums AS MATERIALIZED (
        SELECT grouping(n) AS by_key, grouping(id) AS by_bucket, n, id, now, key,
               max(channel_name) AS channel_name, sum(requests)::bigint AS requests,
               sum(errors)::bigint AS errors, sum(charge_nano)::bigint AS charge_nano,
               sum(value) AS value, {MERGED_SAVED}, {SHOWN_OWN}, {COMMON_SUMS}
        FROM (
            SELECT r.*, {_N} AS n, {_N} > 0 AS now, {group.id} AS id, {key.id} AS key,
                   {METRICS[usage_filter.metric]} AS value
            FROM {rows} r
        ) r
        GROUP BY GROUPING SETS ((n), (n, id), (now, key))
    ),
    part AS (
        SELECT n, id, channel_name, value FROM sums WHERE by_key = 0 AND by_bucket = 0 AND n > 0
    ),
    {RANKED}{other_meters(_N, rows)}
    SELECT 'bucket', n, 0, '', '', requests, errors, charge_nano, 0,
           g.meters || coalesce(o.meters, '{{}}'), g.saved_nano, g.own_nano
    FROM sums g LEFT JOIN other o ON o.id = g.n WHERE by_key = 0 AND by_bucket = 1
    UNION ALL
    SELECT 'part', n, place, value, label, 0, 0, 0, figure, '{{}}', 0, NULL
    FROM ({series_parts(group)}) shown (n, place, value, label, figure)
    UNION ALL
    SELECT 'key', g.now::int, 0, {key.value}, {key.label}, g.requests, g.errors, g.charge_nano, 0,
           '{{}}', g.saved_nano, g.own_nano
    FROM (SELECT *, key AS id
          FROM (SELECT now, key, requests, errors, charge_nano, saved_nano, own_nano
                FROM sums WHERE by_key = 1) keyed) g {key.join}"""  # noqa: S608 - own names only
