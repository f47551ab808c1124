"""Walks through the books, span by span: each invariant is one short statement over one span, so
that no transaction waits for a look at all, and none takes longer the older the books are.

    new      goes on each minute with what was written since
    whole    goes through everything once a day, a little each minute

Where a walk is, and what it has summed up to there, is stored with each step: whoever comes next
goes on from there.
"""

import datetime as dt
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from django.db import DataError, OperationalError, connection, transaction

from billing.models import BooksWalk, CheckedSum
from billing.seals import horizon
from billing.spans import BEGINNING, spans
from usage.invariants import Span, Sums, of_spans, of_the_present, rows_that_break, sums_of

_SPAN_ROWS: Final = 10_000
# The rows of a span are few and each is looked up by its key, whatever the planner knows of the end
# of a table: any other plan reads a table for each span.
_LOOK_UP: Final = "".join(
    f"SET LOCAL {setting};"
    for setting in (
        "enable_seqscan = off",
        "enable_hashjoin = off",
        "enable_mergejoin = off",
        "random_page_cost = 1.1",
        "max_parallel_workers_per_gather = 0",
    )
)


class Findings:
    """What is wrong, {invariant: [row, …]}, and what could not be looked at in time."""

    def __init__(self, until: float, statement_s: float, rows_max: int = 5) -> None:
        """`until` is an instant of the monotonic clock after which nothing is begun; no statement
        runs for more than so many seconds."""
        self.broken: dict[str, list[Any]] = {}
        self.unfinished: list[str] = []
        self._until, self._statement_s, self._rows_max = until, statement_s, rows_max

    def look(self, names: Iterable[str], parameters: Mapping[str, Any], prepare: str = "") -> None:
        """Look for what breaks these invariants, each by itself."""
        limit = f"SET LOCAL statement_timeout = {int(self._statement_s * 1000)};"
        for name in names:
            if time.monotonic() > self._until:
                self.unfinished.append(name)
                continue
            try:
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute(prepare + limit)
                    rows = rows_that_break(cursor, name, parameters, self._rows_max)
            except OperationalError as error:
                self.unfinished.append(f"{name}: {str(error).strip()}")
            except DataError as error:
                self.cannot_read(name, error)
            else:
                if rows:
                    self.broken.setdefault(name, []).extend(rows)

    def cannot_read(self, name: str, error: DataError) -> None:
        """What stands there is what no request leaves: a text that should name an attempt."""
        self.broken[name] = [(str(error).strip(),)]

    def look_at_span(self, span: Span) -> None:
        self.look(of_spans(), span.parameters(), _LOOK_UP)

    def look_at_present(self, open_end: Span, sums: Sums) -> None:
        """What stands now; `sums` are those of everything before the open end of the books."""
        self.look(of_the_present(), open_end.parameters(sums))


class Place(NamedTuple):
    """Where a walk is, and what it summed up to there; whether it has `reached` what is not settled
    yet, or where it should go."""

    to_at: dt.datetime | None
    sums: Sums
    reached: bool


def walk(name: str, findings: Findings, seconds: float, to_at: dt.datetime | None = None) -> Place:
    """Go on to what is not settled yet, or up to an instant; or, after so many seconds, to the end
    of the span. What is found is kept with the walk."""
    began = time.monotonic()
    from_at = _place(name).to_at
    with connection.cursor() as cursor:
        settled_at, _ = horizon(cursor)
        end = settled_at if to_at is None else min(to_at, settled_at)
        for _, edge in spans(cursor, "ledger", from_at or BEGINNING, end, _SPAN_ROWS):
            span = Span(from_at, edge)
            findings.look_at_span(span)
            if findings.unfinished or not _step(name, span, findings):
                break
            from_at = edge
            if time.monotonic() - began > seconds:
                break
    place = _place(name)
    return place._replace(reached=place.to_at is not None and place.to_at >= end)


def broken_in_all(rows_max: int = sys.maxsize) -> Findings:
    """Walk through everything at once, and keep nothing of it."""
    findings = Findings(float("inf"), 86_400, rows_max)
    sums: Counter[tuple[str, int]] = Counter()
    from_at: dt.datetime | None = None
    with connection.cursor() as cursor:
        settled_at, _ = horizon(cursor)
        for _, edge in spans(cursor, "ledger", BEGINNING, settled_at, _SPAN_ROWS):
            span = Span(from_at, edge)
            findings.look_at_span(span)
            sums.update(_sums(span, findings) or {})
            from_at = edge
    open_end = Span(from_at)
    findings.look_at_span(open_end)
    findings.look_at_present(open_end, sums)
    return findings


def as_stored(broken: Mapping[str, Iterable[Any]]) -> dict[str, list[str]]:
    """The rows as texts."""
    return {name: [str(row) for row in rows] for name, rows in broken.items()}


def _place(name: str) -> Place:
    """By one statement: another process may take the next step."""
    with connection.cursor() as cursor:
        cursor.execute(_PLACE, {"name": name})
        rows = cursor.fetchall()
    sums = {(kind, subject): nano for _, kind, subject, nano in rows if kind is not None}
    return Place(rows[0][0] if rows else None, sums, reached=False)


def _step(name: str, span: Span, findings: Findings) -> bool:
    """Store that a walk has passed a span; False where another process has, or where it cannot."""
    with transaction.atomic():
        BooksWalk.objects.get_or_create(name=name)
        here = BooksWalk.objects.select_for_update().filter(name=name, to_at=span.from_at)
        stored = here.first()
        # Under the lock: what is summed does not go into a file meanwhile.
        sums = _sums(span, findings) if stored is not None else None
        if stored is None or sums is None:
            return False
        stored.to_at = span.to_at
        stored.found |= as_stored(findings.broken)
        stored.save(update_fields=["to_at", "found"])
        _add(name, sums)
    return True


def _sums(span: Span, findings: Findings) -> Sums | None:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_LOOK_UP)
            return sums_of(cursor, span)
    except DataError as error:
        findings.cannot_read(_SUMMED, error)
        return None


def _add(name: str, sums: Sums) -> None:
    if not sums:
        return
    rows = [(*subject, nano) for subject, nano in sorted(sums.items())]
    kinds, subjects, nanos = zip(*rows, strict=True)
    added: dict[str, Any] = {
        "walk": name,
        "kinds": list(kinds),
        "subjects": list(subjects),
        "nanos": list(nanos),
    }
    with connection.cursor() as cursor:
        cursor.execute(_ADD, added)


def begin(name: str, at: dt.datetime) -> None:
    """Begin a walk from the first posting on."""
    with transaction.atomic():
        BooksWalk.objects.update_or_create(
            name=name, defaults={"to_at": None, "began_at": at, "found": {}, "unfinished": []}
        )
        CheckedSum.objects.filter(walk=name).delete()


def end(name: str, other: str, at: dt.datetime) -> bool:
    """End a walk where another one stands too: what that has found so far was looked at again, and
    what it has summed is compared. False where it stands elsewhere."""
    with transaction.atomic(), connection.cursor() as cursor:
        walks = BooksWalk.objects.select_for_update().order_by("name")
        stored = {walk.name: walk for walk in walks.filter(name__in=[name, other])}
        mine, theirs = stored[name], stored[other]
        if mine.to_at != theirs.to_at:
            return False
        cursor.execute(_DIFFERENT, {"name": name, "other": other})
        rows = cursor.fetchall()
        mine.broken = mine.found | (as_stored({_SUMMED: rows}) if rows else {})
        mine.found, mine.unfinished, mine.ended_at, mine.to_at = {}, [], at, None
        theirs.found = {}
        mine.save()
        theirs.save(update_fields=["found"])
        CheckedSum.objects.filter(walk=name).delete()
    return True


_SUMMED: Final = "I3 what was summed before is the sum of what stands there"

_PLACE: Final = """
    SELECT stored.to_at, summed.kind, summed.subject_id, summed.nano
    FROM billing_bookswalk stored LEFT JOIN billing_checkedsum summed ON summed.walk = stored.name
    WHERE stored.name = %(name)s"""

_ADD: Final = """
    INSERT INTO billing_checkedsum AS summed (walk, kind, subject_id, nano)
    SELECT %(walk)s, kind, subject_id, nano
    FROM unnest(%(kinds)s::text[], %(subjects)s::bigint[], %(nanos)s::bigint[])
        AS t (kind, subject_id, nano)
    ON CONFLICT (walk, kind, subject_id) DO UPDATE SET nano = summed.nano + excluded.nano"""

_DIFFERENT: Final = """
    SELECT kind, subject_id, a.nano, b.nano
    FROM (SELECT * FROM billing_checkedsum WHERE walk = %(name)s) a
    FULL JOIN (SELECT * FROM billing_checkedsum WHERE walk = %(other)s) b USING (kind, subject_id)
    WHERE coalesce(a.nano, 0) <> coalesce(b.nano, 0) LIMIT 5"""
