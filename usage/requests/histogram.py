"""The requests of a log over time: bars that link to the rows behind them."""

import datetime as dt
from typing import Final, NamedTuple

from accounts.access.actors import Actor
from lib.tables.sources import COUNTED_MAX
from usage.buckets.buckets import BUCKET, Grain, Span
from usage.filters.filters import UsageFilter, between
from usage.filters.visibility import run, where_of
from usage.records.outcomes import FAILED_SQL
from usage.reports import reports
from usage.reports.reports import Totals
from usage.rollups.levels import Freshness

_BARS_MAX: Final = 62
_HOUR: Final = dt.timedelta(hours=1)


class Bar(NamedTuple):
    """The requests of a span in the log, and how many of them failed."""

    span: Span
    requests: int
    failed: int


def sums_of_bars(
    actor: Actor, usage_filter: UsageFilter, at: Freshness | None = None
) -> list[Totals]:
    """Return the rollups' sums for the bars of a log."""
    return reports.usage_by_bucket(actor, _align_to_bars(usage_filter), metered=False, at=at)


def histogram(
    actor: Actor, usage_filter: UsageFilter, totals: list[Totals] | None = None
) -> list[Bar]:
    """Return the bars of a log, or none if its filter selects single requests out of too many. Sums
    come from the rollups if possible, else from at most 10,000 records. `totals` are those of
    `sums_of_bars`, if known."""
    timed = _align_to_bars(usage_filter)
    scope = usage_filter.scope
    if totals is None:
        totals = sums_of_bars(actor, usage_filter)
    if not scope.picks_records:
        return [
            Bar(span, total.requests, total.errors)
            for span, total in zip(timed.spans, totals, strict=True)
        ]
    if reports.sum_of(totals).requests > COUNTED_MAX:
        return []
    where = where_of(actor, "requests.read", scope, timed.span)
    parameters = {**where.parameters, "starts": [span.start_at for span in timed.spans]}
    counted = {
        n: (requests, failed)
        for n, requests, failed in run(_COUNT.format(where=where.text), parameters)
    }
    return [Bar(span, *counted.get(n, (0, 0))) for n, span in enumerate(timed.spans, start=1)]


def _align_to_bars(usage_filter: UsageFilter) -> UsageFilter:
    """Return the same time in the smallest bars that are not too many."""
    grain = _grain(usage_filter.end_at - usage_filter.start_at)
    if grain is None:
        return usage_filter
    start_at, end_at = usage_filter.start_at, usage_filter.end_at
    timed = between(start_at, end_at, usage_filter.zone, usage_filter.now, grain=grain)
    return UsageFilter(
        usage_filter.range, usage_filter.zone, grain, timed.spans, usage_filter.now,
        usage_filter.scope,
    )  # fmt: skip


def _grain(length: dt.timedelta) -> Grain | None:
    if length <= _BARS_MAX * BUCKET:
        return "15min"
    if length <= _BARS_MAX * _HOUR:
        return "hour"
    return "day" if length <= _BARS_MAX * 24 * _HOUR else None


_COUNT: Final = f"""
    SELECT width_bucket(r.admitted_at, %(starts)s::timestamptz[]), count(*),
           count(*) FILTER (WHERE {FAILED_SQL})
    FROM usage_usagerecord r WHERE {{where}} AND r.final GROUP BY 1"""  # noqa: S608 - only a constant is put in
