"""The stored sums as one relation. Each part of its time is read from the level with the fewest
rows (`level_rules.py`)."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from usage.buckets.buckets import Span
from usage.filters.visibility import Where, run
from usage.rollups.level_rules import Level, pieces_of, split_spans
from usage.rollups.sums import TIMES
from usage.sinks.sinks import used_copies
from usage.sinks.usage_sink import UsageCopy

TABLES: Final[dict[Level, str]] = {
    "quarter": "usage_rollup",
    "hour": "usage_hourrollup",
    "day": "usage_dayrollup",
}
COMMON: Final = ("in_text", "in_cache_read", "out_text", "out_reasoning")
"""The meters that are columns of hours and days; null if none was counted."""
ALWAYS: Final = Span(dt.datetime(1990, 1, 1, tzinfo=dt.UTC), dt.datetime(2300, 1, 1, tzinfo=dt.UTC))
"""A time that contains every request."""

_COLUMNS: Final = (
    "r.organisation_id, r.bucket_at, r.team_id, r.key_id, r.user_id, r.model, r.channel_id,"
    " r.channel_name, r.requests, r.errors, r.charge_nano, r.saved_nano, r.own_nano, "
    + ", ".join(f"r.{name}" for name in TIMES)
)


def columns_of(level: Level) -> tuple[list[str], str]:
    """Return the common meters of a row `r` of that level, in their order, and the others as
    JSON."""
    if level != "quarter":
        return [f"r.{name}" for name in COMMON], "r.meters"
    names = ", ".join(f"'{name}'" for name in COMMON)
    return [f"(r.meters->>'{name}')::bigint" for name in COMMON], f"(r.meters - ARRAY[{names}])"


LAG_MAX: Final = dt.timedelta(minutes=2)
"""How far a sink may lag if a span that is not over is read from it."""


class Copy(NamedTuple):
    """A sink that has all records whose admission is in the span."""

    sink: UsageCopy
    span: Span


class Freshness(NamedTuple):
    """How far the sums are complete, and how far there are hours and days; None before there are
    any. `copies` are the sinks that have records. All ends only move forward, so that a later read
    contains at least this."""

    complete_to: dt.datetime | None = None
    levels_to: dt.datetime | None = None
    copies: tuple[Copy, ...] = ()

    def copy_of(self, spans: Sequence[Span]) -> Copy | None:
        """Return a sink that has all of some spans; the last moments of a span that is not over may
        be missing."""
        if self.complete_to is None:
            return None
        for copy in self.copies:
            start_at, end_at = copy.span
            if all(span.start_at >= start_at for span in spans) and (
                self.complete_to - end_at <= LAG_MAX or all(span.end_at <= end_at for span in spans)
            ):
                return copy
        return None

    def complete_until(self, spans: Sequence[Span]) -> dt.datetime | None:
        """Return the time up to which a report of some spans is complete, from either source."""
        copy = self.copy_of(spans)
        if self.complete_to and copy:
            return min(self.complete_to, copy.span.end_at)
        return self.complete_to


def read_freshness() -> Freshness:
    """Return how far the sums are now complete."""
    rows = run("SELECT complete_to, levels_to FROM usage_rollupwatermark", {})
    if not rows:
        return Freshness()
    ((complete_to, levels_to),) = rows
    copies = [Copy(sink, span) for sink in used_copies() if (span := sink.complete())]
    return Freshness(complete_to, levels_to, tuple(copies))


def summed(where: Where, spans: Sequence[Span], at: Freshness | None = None) -> Where:
    """Return the sums of spans of whole quarters as a relation whose rows `r` have the columns of
    an hour's row. `where` is a condition on each row. No row crosses the edge of two spans. Passing
    `at` saves a query."""
    parts: list[str] = []
    parameters: dict[str, Any] = dict(where.parameters)
    levels = split_spans(spans, (at or read_freshness()).levels_to)
    if not any(levels.values()):
        levels["quarter"] = list(spans)
    for level, spans_of_level in levels.items():
        if not spans_of_level:
            continue
        names = f"{level}_starts", f"{level}_ends"
        edges = zip(*spans_of_level, strict=True)
        for name, values in zip(names, edges, strict=True):
            parameters[name] = list(values) if len(spans_of_level) > 1 else values[0]
        parts.append(_level_columns(level, where.text, names, several=len(spans_of_level) > 1))
    return Where(f"({' UNION ALL '.join(parts)})", parameters)


def summed_by_span(
    where: Where, runs: Sequence[Sequence[Span]], at: Freshness | None = None
) -> Where:
    """Return the same as `summed`, for counting by span. `bucket_at` is an instant of the span to
    which a row belongs. If a UTC day contains a part of the next span, that part appears twice
    more: added to the next span, and negated for this one. So a day of any zone is read as a UTC
    day and the hours at its edges. A span may sum to 0 for a group that it does not have. Two
    `runs` do not share rows."""
    parameters: dict[str, Any] = dict(where.parameters)
    by_level: dict[Level, list[tuple[Span, dt.datetime, int]]] = {}
    levels_to = (at or read_freshness()).levels_to
    for spans in runs:
        for piece in pieces_of(spans, levels_to):
            counted = by_level.setdefault(piece.level, [])
            counted.append((piece.span, piece.owner_at, 1))
            if piece.off_at is not None:
                counted.append((piece.span, piece.off_at, -1))
    parts = []
    for level, counted in by_level.items():
        parameters |= {
            f"{level}_starts": [span.start_at for span, _, _ in counted],
            f"{level}_ends": [span.end_at for span, _, _ in counted],
            f"{level}_owners": [owner_at for _, owner_at, _ in counted],
            f"{level}_signs": [sign for _, _, sign in counted],
        }
        parts.append(_signed_part(level, where.text))
    return Where(f"({' UNION ALL '.join(parts)})", parameters)


def since(start_at: dt.datetime) -> Span:
    """Return the span of all time since an instant."""
    return Span(start_at, ALWAYS.end_at)


def _level_columns(level: Level, where: str, names: tuple[str, str], *, several: bool) -> str:
    common, rest = columns_of(level)
    meters = ", ".join(f"{column} AS {name}" for column, name in zip(common, COMMON, strict=True))
    start, end = (f"%({name})s" for name in names)
    if not several:
        return f"""
        SELECT {_COLUMNS}, {meters}, {rest} AS meters FROM {TABLES[level]} r
        WHERE {where} AND r.bucket_at >= {start} AND r.bucket_at < {end}"""  # noqa: S608 - own names
    # OFFSET 0 forces an index look-up for each span, while a join would scan all rows.
    return f"""
        SELECT part.*
        FROM unnest({start}::timestamptz[], {end}::timestamptz[]) AS span (start_at, end_at)
        CROSS JOIN LATERAL (
            SELECT {_COLUMNS}, {meters}, {rest} AS meters FROM {TABLES[level]} r
            WHERE {where} AND r.bucket_at >= span.start_at AND r.bucket_at < span.end_at OFFSET 0
        ) part"""  # noqa: S608 - own names


def _signed_part(level: Level, where: str) -> str:
    common, rest = columns_of(level)
    signed = ", ".join(
        f"span.sign * part.{name} AS {name}"
        for name in (
            "requests",
            "errors",
            "charge_nano",
            "saved_nano",
            "own_nano",
            *TIMES,
            *COMMON,
        )
    )
    meters = ", ".join(f"{column} AS {name}" for column, name in zip(common, COMMON, strict=True))
    return f"""
        SELECT part.organisation_id, span.owner_at AS bucket_at, part.team_id, part.key_id,
               part.user_id, part.model, part.channel_id, part.channel_name, {signed},
               CASE WHEN span.sign > 0 OR part.meters = '{{}}' THEN part.meters ELSE (
                   SELECT jsonb_object_agg(meter, -units::bigint)
                   FROM jsonb_each_text(part.meters) AS one (meter, units)) END AS meters
        FROM unnest(%({level}_starts)s::timestamptz[], %({level}_ends)s::timestamptz[],
                    %({level}_owners)s::timestamptz[], %({level}_signs)s::int[])
            AS span (start_at, end_at, owner_at, sign)
        CROSS JOIN LATERAL (
            SELECT {_COLUMNS}, {meters}, {rest} AS meters FROM {TABLES[level]} r
            WHERE {where} AND r.bucket_at >= span.start_at AND r.bucket_at < span.end_at OFFSET 0
        ) part"""  # noqa: S608 - own names
