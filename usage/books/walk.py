"""Walks through the books, span by span: each invariant is one short statement over one span. So no
transaction has to wait for a check of everything, and the statements take no longer as the books
grow.

    new      continues each minute with what was written since
    day      repeats the current day (UTC), each minute while rows are written
    whole    repeats everything endlessly, a little at a time

The position of a walk, and its sums up to there, are stored with each step, so any process can
continue it. Its findings are stored with the same step (`usage/books/findings.py`).
"""

import datetime as dt
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from django.db import DatabaseError, DataError, OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper

from billing.models import BooksWalk, CheckedSum
from billing.seals.seals import horizon
from billing.seals.spans import BEGINNING, spans
from lib import clock
from lib.database.code_migrations import schema_difference
from lib.database.session import only_look_ups
from usage.books import findings as found_rows
from usage.books.invariants import (
    Span,
    Sums,
    present_invariants,
    rows_that_break,
    span_invariants,
    sums_of,
)

log = logging.getLogger(__name__)

NEW: Final = "new"
DAY: Final = "day"
WHOLE: Final = "whole"
PRESENT: Final = "present"
"""Not a walk: what is checked over everything each minute."""

ROWS_MAX: Final = 20
"""The maximum number of rows that one statement returns for an invariant."""
_SPAN_ROWS: Final = 10_000
# Each statement reads few rows of a large table by an index. Force that, because the planner
# decides differently for a table that was filled after its last statistics.
_LOOK_UP: Final = "".join(
    f"SET LOCAL {setting};"
    for setting in (
        "enable_seqscan = off",
        "random_page_cost = 1.1",
        "max_parallel_workers_per_gather = 0",
    )
)


class Findings:
    """What is wrong, {invariant: [row, …]}, and what could not be checked in time."""

    def __init__(self, until: float, statement_s: float, rows_max: int = ROWS_MAX) -> None:
        """`until` is an instant of the monotonic clock after which no statement begins;
        `statement_s` is the time limit of each."""
        self.broken: dict[str, list[Any]] = {}
        self.unfinished: list[str] = []
        self._until, self._statement_s, self._rows_max = until, statement_s, rows_max

    def check(self, names: Iterable[str], parameters: Mapping[str, Any]) -> None:
        """Search for rows that violate these invariants. Each is checked separately, so that an
        error in one does not prevent the others."""
        limit = f"SET LOCAL statement_timeout = {int(self._statement_s * 1000)};"
        for name in names:
            if time.monotonic() > self._until:
                self.unfinished.append(name)
                continue
            try:
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute(_LOOK_UP + limit)
                    rows = rows_that_break(cursor, name, parameters, self._rows_max)
            except DataError as error:
                self.cannot_read(name, error)
            except DatabaseError as error:
                self.unfinished.append(f"{name}: {str(error).strip()}")
            else:
                if rows:
                    self.broken.setdefault(name, []).extend(rows)

    def cannot_read(self, name: str, error: DataError) -> None:
        """Report a value that no request can have written, such as a text in place of an attempt's
        id."""
        self.broken[name] = [(str(error).strip(),)]

    def check_span(self, span: Span) -> None:
        self.check(span_invariants(), span.parameters())

    def check_present(self, open_end: Span, sums: Sums) -> None:
        """Check the present state. `sums` are the sums of everything before the open end of the
        books."""
        self.check(present_invariants(), open_end.parameters(sums))


class Place(NamedTuple):
    """The position of a walk, and the sums up to there. `reached`: it has come to unsettled
    entries, or to its goal."""

    to_at: dt.datetime | None
    sums: Sums
    reached: bool


def prepare_tables() -> None:
    """Update what Postgres otherwise updates only during a vacuum: the statistics of large tables,
    without which a statement may read all rows of an organisation for each posting, and the index
    of postings by time, which otherwise reads every new posting for every span.

    A table that is being vacuumed is left to that vacuum.
    """
    with connection.cursor() as cursor:
        cursor.execute(_GROWN)
        analyze = [f"ANALYZE {table}" for (table,) in cursor.fetchall()]
    for statement in (*analyze, _INDEX_NEW):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '100ms'")
                cursor.execute(statement)
        except OperationalError as error:
            log.info("the ledger check goes on without %s: %s", statement, str(error).strip())


def walk(name: str, findings: Findings, seconds: float, to_at: dt.datetime | None = None) -> Place:
    """Check spans in order until the unsettled entries or `to_at`. Stop earlier after `seconds`, or
    if a span could not be finished. Each step stores its findings. Return how far the check has
    come."""
    began = time.monotonic()
    from_at = _place(name).to_at
    with only_look_ups(), connection.cursor() as cursor:
        settled_at, _ = horizon(cursor)
        end = settled_at if to_at is None else min(to_at, settled_at)
        for _, edge in _spans(cursor, from_at or BEGINNING, end):
            span = Span(from_at, edge)
            findings.check_span(span)
            if findings.unfinished or not _step(name, span, findings):
                break
            from_at = edge
            if time.monotonic() - began > seconds:
                break
    place = _place(name)
    return place._replace(reached=place.to_at is not None and place.to_at >= end)


def broken_in_all(rows_max: int = sys.maxsize) -> Findings:
    """Check everything without storing anything."""
    findings = Findings(float("inf"), 86_400, rows_max)
    sums: Counter[tuple[str, int]] = Counter()
    from_at: dt.datetime | None = None
    with only_look_ups(), connection.cursor() as cursor:
        settled_at, _ = horizon(cursor)
        for _, edge in _spans(cursor, BEGINNING, settled_at):
            span = Span(from_at, edge)
            findings.check_span(span)
            sums.update(_sums(span, findings))
            from_at = edge
    open_end = Span(from_at)
    findings.check_span(open_end)
    findings.check_present(open_end, sums)
    return findings


def walk_day(findings: Findings, midnight: dt.datetime, to_at: dt.datetime, seconds: float) -> None:
    """Check the spans since midnight for `seconds`. After the last span, start again with the
    first."""
    began = time.monotonic()
    stored, _ = BooksWalk.objects.get_or_create(name=DAY)
    if stored.to_at is None:
        stored.began_at = clock.now()
    from_at = max(stored.to_at or midnight, midnight)
    with only_look_ups(), connection.cursor() as cursor:
        for _, edge in _spans(cursor, from_at, to_at):
            findings.check_span(Span(from_at, edge))
            from_at = edge
            if findings.unfinished:
                # This pass has not read all of the day.
                stored.began_at = None
            if findings.unfinished or time.monotonic() - began > seconds:
                break
    ended = from_at >= to_at
    stored.to_at = None if ended else from_at
    stored.ended_at = clock.now() if ended else stored.ended_at
    stored.save(update_fields=["to_at", "began_at", "ended_at"])


def _spans(
    cursor: CursorWrapper, from_at: dt.datetime, to_at: dt.datetime
) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    return spans(cursor, "ledger", from_at, to_at, _SPAN_ROWS)


def _place(name: str) -> Place:
    """Return the position, read with one statement because another process may take the next
    step."""
    with connection.cursor() as cursor:
        cursor.execute(_PLACE, {"name": name})
        rows = cursor.fetchall()
    sums = {(kind, subject): nano for _, kind, subject, nano in rows if kind is not None}
    return Place(rows[0][0] if rows else None, sums, reached=False)


def _step(name: str, span: Span, findings: Findings) -> bool:
    """Store that a walk has passed a span, and what it found there. Return False if another process
    has passed it, or if the database was migrated in the meantime, because a newer version adds
    sums that this one lacks."""
    with transaction.atomic():
        BooksWalk.objects.get_or_create(name=name)
        here = BooksWalk.objects.select_for_update().filter(name=name, to_at=span.from_at)
        stored = here.first()
        # Under the lock, so that no rows are moved to a file after they were summed.
        if stored is None:
            return False
        sums = _sums(span, findings)
        if schema_difference():
            return False
        stored.to_at = span.to_at
        stored.save(update_fields=["to_at"])
        found_rows.note(WHOLE, findings.broken)
        _add(name, sums)
    return True


def _sums(span: Span, findings: Findings) -> Sums:
    """Return the amounts that a span adds to the sums. Rows that cannot be read are skipped and
    become a finding."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_LOOK_UP)
        return _readable_sums(cursor, span, findings)


def _readable_sums(
    cursor: CursorWrapper, span: Span, findings: Findings
) -> Counter[tuple[str, int]]:
    try:
        with transaction.atomic():
            return sums_of(cursor, span)
    except DataError as error:
        findings.cannot_read(SUMMED, error)
    from_at, to_at = span.from_at or BEGINNING, span.to_at
    if to_at is None or to_at - from_at <= dt.timedelta(microseconds=1):
        return Counter()
    middle = from_at + (to_at - from_at) / 2
    sums = _readable_sums(cursor, Span(span.from_at, middle), findings)
    sums.update(_readable_sums(cursor, Span(middle, to_at), findings))
    return sums


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
    """Begin a walk at the first posting."""
    with transaction.atomic():
        BooksWalk.objects.update_or_create(
            name=name, defaults={"to_at": None, "began_at": at, "unfinished": []}
        )
        CheckedSum.objects.filter(walk=name).delete()


def end(name: str, other: str, at: dt.datetime) -> bool:
    """Finish a walk once another walk has reached the same position. Earlier findings that were not
    found again end, and the sums of both walks are compared. Return False if the positions
    differ."""
    with transaction.atomic(), connection.cursor() as cursor:
        walks = BooksWalk.objects.select_for_update().order_by("name")
        stored = {walk.name: walk for walk in walks.filter(name__in=[name, other])}
        mine, theirs = stored[name], stored[other]
        if mine.to_at != theirs.to_at:
            return False
        cursor.execute(_DIFFERENT, {"name": name, "other": other})
        different = [SumRow(*row) for row in cursor.fetchall()]
        if different:
            found_rows.note(WHOLE, {SUMMED: different})
        found_rows.end_unseen(WHOLE, mine.began_at or at)
        mine.unfinished, mine.ended_at, mine.to_at = [], at, None
        mine.save()
        CheckedSum.objects.filter(walk=name).delete()
    return True


class SumRow(NamedTuple):
    """A sum of an account or window about which two walks disagree."""

    kind: str
    subject_id: int
    expected: int | None
    found: int | None


SUMMED: Final = "I3 what was summed before is the sum of what stands there"

_INDEX_NEW: Final = "SELECT brin_summarize_new_values('posting_by_time')"

# Tables that have doubled since their last statistics.
_GROWN: Final = r"""
    SELECT format('%I.%I', schemaname, relname) FROM pg_stat_user_tables
    WHERE relname ~ '^(billing_(posting|ledgerline|hold)$|usage_(attempt|usagerecord)(_|$))'
    AND n_mod_since_analyze > greatest(n_live_tup / 2, 1000)"""

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
