"""Spans of time with a bounded number of write-once rows, so that no statement takes longer as the
tables grow."""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

BEGINNING: Final = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
"""Before every row."""

_SHORTEST: Final = dt.timedelta(microseconds=1)
_SECOND: Final = dt.timedelta(seconds=1)


class Cursor(Protocol):
    """A cursor of Django or of psycopg."""

    def execute(self, query: Any, params: Any = None) -> Any: ...

    def fetchall(self) -> list[Any]: ...


def spans(
    cursor: Cursor, kind: str, from_at: dt.datetime, to_at: dt.datetime, rows_max: int
) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """Yield the spans between two instants, in order: (from, to) with at most `rows_max` postings
    of the `ledger` or events of the `trail`. A span has more only if they were all written in one
    instant."""
    length = to_at - from_at
    if from_at < to_at and _count(cursor, kind, from_at, to_at, rows_max) > rows_max:
        # Without this, years without rows would be many spans.
        empty_until = _empty_until(cursor, kind, from_at, to_at)
        if empty_until > from_at:
            yield from_at, empty_until
            from_at = empty_until
    while from_at < to_at:
        length = min(length, to_at - from_at)
        while (rows := _count(cursor, kind, from_at, from_at + length, rows_max)) > rows_max:
            if length <= _SHORTEST:
                break
            length = max(length / 2, _SHORTEST)
        yield from_at, from_at + length
        from_at += length
        if rows <= rows_max / 2:
            length *= 2


def _empty_until(
    cursor: Cursor, kind: str, from_at: dt.datetime, to_at: dt.datetime
) -> dt.datetime:
    """Return an instant up to which there is no row, at most a second before the first row."""
    empty_until, filled_until = from_at, to_at
    while filled_until - empty_until > _SECOND:
        middle = empty_until + (filled_until - empty_until) / 2
        if _count(cursor, kind, empty_until, middle, 0):
            filled_until = middle
        else:
            empty_until = middle
    return empty_until


def _count(
    cursor: Cursor, kind: str, from_at: dt.datetime, to_at: dt.datetime, rows_max: int
) -> int:
    """Return the number of rows. Counting ends at `rows_max` + 1."""
    cursor.execute(_COUNT[kind], {"from": from_at, "to": to_at, "limit": rows_max + 1})
    ((rows,),) = cursor.fetchall()
    return int(rows)


_COUNT: Final[Mapping[str, str]] = {
    "ledger": """
        SELECT count(*) FROM (
            SELECT FROM billing_posting
            WHERE created_at >= %(from)s AND created_at < %(to)s LIMIT %(limit)s) counted""",
    "trail": """
        SELECT count(*) FROM (
            SELECT FROM accounts_auditevent
            WHERE at >= %(from)s AND at < %(to)s LIMIT %(limit)s) counted""",
}
