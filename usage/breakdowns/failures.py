"""Failed requests by their cause, and how many guards rejected, counted from an index that contains
only these."""

from typing import Final, NamedTuple

from accounts.access.actors import Actor
from usage.buckets.buckets import Span
from usage.filters.filters import EVERYTHING, Scope, UsageFilter
from usage.filters.visibility import run, where_of
from usage.records.outcomes import FAILED_SQL, REJECTED_SQL
from usage.reports.reports import SERIES_MAX, Series, series_of


class Cause(NamedTuple):
    """How many requests failed for one reason; `kind` is empty if the record has none."""

    kind: str
    requests: int


def failures_by_cause(actor: Actor, span: Span) -> list[Cause]:
    """Return the failed requests of a span by their cause, the most frequent first."""
    where = where_of(actor, "requests.read", EVERYTHING, span)
    rows = run(_BY_CAUSE.format(where=where.text), where.parameters)
    return [Cause(kind, requests) for kind, requests in rows]


def failure_series(actor: Actor, usage_filter: UsageFilter) -> Series:
    """Return the failed requests of every bucket by their cause. The rarest causes are combined."""
    where = where_of(actor, "requests.read", usage_filter.scope, usage_filter.span)
    rows = run(
        _BY_BUCKET.format(where=where.text),
        {
            **where.parameters,
            "starts": [span.start_at for span in usage_filter.spans],
            "most": SERIES_MAX + 1,
        },
    )
    return series_of(usage_filter, rows)


def rejections(actor: Actor, span: Span, scope: Scope = EVERYTHING) -> int:
    """Return how many requests of a span guards rejected."""
    where = where_of(actor, "requests.read", scope, span)
    ((requests,),) = run(_REJECTED.format(where=where.text), where.parameters)
    return int(requests)


_REJECTED: Final = f"""
    SELECT count(*) FROM usage_usagerecord r WHERE {{where}} AND r.final AND {REJECTED_SQL}"""  # noqa: S608 - own names only
_FAILED: Final = f"{{where}} AND r.final AND {FAILED_SQL}"
_BY_CAUSE: Final = f"""
    SELECT coalesce(r.kind, ''), count(*) FROM usage_usagerecord r WHERE {_FAILED}
    GROUP BY 1 ORDER BY 2 DESC, 1"""  # noqa: S608 - only this file's own names are put in
_BY_BUCKET: Final = f"""
    WITH part AS (
        SELECT width_bucket(r.admitted_at, %(starts)s::timestamptz[]) AS n,
               coalesce(r.kind, '') AS kind, count(*) AS value
        FROM usage_usagerecord r WHERE {_FAILED} GROUP BY 1, 2
    ),
    ranked AS (
        SELECT kind, row_number() OVER (ORDER BY sum(value) DESC, kind) AS place
        FROM part GROUP BY kind
    )
    SELECT part.n, least(g.place, %(most)s)::int, max(kind), max(kind), sum(value)::bigint
    FROM part JOIN ranked g USING (kind) GROUP BY 1, 2"""  # noqa: S608 - own names only
