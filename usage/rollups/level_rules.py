"""Which stored sums cover a time: whole UTC days and hours if they exist, else quarters.

Sums are stored in levels, each computed from the one below it. A report in any zone is a whole
number of quarters (`buckets.py`). Most of it can be read from hours or days, which have far fewer
rows, and only the edges need the quarters. No report reads minutes: they exist only for the last
quarters, which change with every request.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple
from uuid import UUID

from usage.buckets.buckets import BUCKET, Span

Level = Literal["quarter", "hour", "day"]
"""A level that reports read."""
AnyLevel = Literal["minute"] | Level

WIDTHS: Final[dict[AnyLevel, timedelta]] = {
    "minute": timedelta(minutes=1),
    "quarter": BUCKET,
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def start_of(at: datetime, level: AnyLevel) -> datetime:
    """Return the UTC start of the bucket of that level that contains an aware instant."""
    return at.astimezone(UTC) - (at - _EPOCH) % WIDTHS[level]


def split_spans(spans: Iterable[Span], levels_to: datetime | None) -> dict[Level, list[Span]]:
    """Split spans, in their order, into spans of each level; no result crosses an edge of the given
    ones. Hours, and days that are over, exist before `levels_to`; None means that only quarters
    exist."""
    parts: dict[Level, list[Span]] = {"quarter": [], "hour": [], "day": []}
    for start_at, end_at in spans:
        hour_to = start_at if levels_to is None else start_of(min(end_at, levels_to), "hour")
        _split_span(parts, start_at, end_at, "hour", hour_to)
    return parts


class Piece(NamedTuple):
    """A time to read from one level. It is added to the span that begins at `owner_at`, and
    subtracted from the span that begins at `off_at`, if set."""

    level: Level
    span: Span
    owner_at: datetime
    off_at: datetime | None = None


def pieces_of(spans: Sequence[Span], levels_to: datetime | None) -> list[Piece]:
    """Return pieces that add up to each of these consecutive spans.

    If two spans meet within a UTC day, both are read to the nearer end of that day, and the time
    between is added to one span and subtracted from the other. Nothing outside all spans is read.
    """
    pieces = []
    starts, ends = [span.start_at for span in spans], [span.end_at for span in spans]
    day_to = None if levels_to is None else start_of(levels_to, "day")
    for n in range(1, len(spans)):
        edge_at = spans[n].start_at
        moved_at = start_of(edge_at + WIDTHS["day"] / 2, "day")
        if (
            day_to is None
            or spans[n - 1].end_at != edge_at
            or not (starts[n - 1] < moved_at < spans[n].end_at and moved_at <= day_to)
        ):
            continue
        between = Span(min(edge_at, moved_at), max(edge_at, moved_at))
        before, after = spans[n - 1].start_at, edge_at
        gains, loses = (after, before) if edge_at < moved_at else (before, after)
        if between.start_at < between.end_at:
            for level, parts in split_spans([between], levels_to).items():
                pieces += [Piece(level, part, gains, loses) for part in parts]
        starts[n] = ends[n - 1] = moved_at
    for span, *edges in zip(spans, starts, ends, strict=True):
        for level, parts in split_spans([Span(*edges)], levels_to).items():
            pieces += [Piece(level, part, span.start_at) for part in parts]
    return pieces


def _split_span(
    parts: dict[Level, list[Span]],
    start_at: datetime,
    end_at: datetime,
    level: Literal["hour", "day"],
    until: datetime,
) -> None:
    """Cover the time between the first and the last edge of a level with that level, or the one
    above; cover the rest with the one below."""
    finer: Level = "quarter" if level == "hour" else "hour"
    first = -(-(start_at - _EPOCH) // WIDTHS[level]) * WIDTHS[level] + _EPOCH
    if first >= until:
        _append(parts[finer], start_at, end_at)
        return
    _append(parts[finer], start_at, first)
    if level == "hour":
        _split_span(parts, first, until, "day", start_of(until, "day"))
    else:
        _append(parts["day"], first, until)
    _append(parts[finer], until, end_at)


def _append(spans: list[Span], start_at: datetime, end_at: datetime) -> None:
    if start_at >= end_at:
        return
    if spans and spans[-1].end_at == start_at:
        spans[-1] = Span(spans[-1].start_at, end_at)
    else:
        spans.append(Span(start_at, end_at))


Bucket = tuple[UUID, datetime]
"""A bucket of one organisation, by its start."""


def runs(buckets: Iterable[Bucket], level: AnyLevel) -> list[tuple[Span, Sequence[Bucket]]]:
    """Group consecutive buckets of a level into runs that do not cross the edge of a day. Each run
    can be read by one range of time and fits into memory."""
    parts: list[tuple[Span, list[Bucket]]] = []
    for bucket in sorted(buckets, key=lambda one: one[1]):
        start_at = bucket[1]
        end_at = start_at + WIDTHS[level]
        if parts:
            span, members = parts[-1]
            same_day = start_of(span.start_at, "day") == start_of(start_at, "day")
            if start_at <= span.end_at and same_day:
                members.append(bucket)
                parts[-1] = (Span(span.start_at, end_at), members)
                continue
        parts.append((Span(start_at, end_at), [bucket]))
    return [(span, members) for span, members in parts]
