"""The check of the books that runs each minute: new entries, the current day, and the present
state. While nobody writes, it looks every half minute whether that is still so, and whether
something has become wrong because its time is over."""

import datetime as dt
import logging
import time
from typing import Final

from django.db import DatabaseError, transaction

from accounts.secrets.key_ring import seal_key
from billing.models import BooksWalk
from billing.seals.spans import BEGINNING
from lib import clock
from lib.database.code_migrations import schema_difference
from outbox.facts import put, was_reported_since
from usage.books import findings
from usage.books import seals as books_seals
from usage.books import walk as books_walk
from usage.books.invariants import Span, present_invariants, timed_invariants
from usage.books.seals import DAY_SEALS
from usage.books.walk import DAY, NEW, PRESENT, WHOLE, Findings, Place
from usage.books.written_rows import CHECKED, TURN, count_written_rows, find_unwalked
from usage.models import BooksCheck

log = logging.getLogger(__name__)

# Time limits: for a whole check, for one of its statements, and for a backlog, which is read in
# parts.
CHECK_S: Final = 60.0
QUERY_S: Final = 20.0
_WALK_S: Final = 20.0
# How long earlier spans of the current day are checked again.
_DAY_S: Final = 2.0
_DAY_SEALED_ROWS: Final = 20_000
DAY_TURN: Final = "dayturn"
# The row that remembers what was written: `after` is what `count_written_rows` returned, `began_at`
# when it last changed, and `ended_at` when the last whole check began.
_QUIET: Final = "quiet"
# A whole check follows the last one after this time, so that every other look is one.
_EVERY: Final = dt.timedelta(seconds=50)
# What was written this long before a check belongs to transactions that have ended.
_SETTLED: Final = dt.timedelta(seconds=30)
# After this time without a result, another process may start the check.
_LEASE: Final = dt.timedelta(minutes=4)
_REST_FACTOR: Final = 4
_HOUR: Final = dt.timedelta(hours=1)
_SHOWN_CHARACTERS: Final = 300


def check_when_due() -> None:
    """Check the books if something was written since they were last checked: after half a minute if
    nothing had been for a while, else each minute. Check them each hour, whatever Postgres has
    counted."""
    if is_check_paused():
        return
    row, _ = BooksWalk.objects.get_or_create(name=_QUIET)
    began = clock.now()
    if (written := count_written_rows(CHECKED)) != row.after:
        row.after, row.began_at = written, began
        row.save(update_fields=["after", "began_at"])
        # The endless walks may rest for minutes after each turn while nothing is written.
        BooksWalk.objects.filter(name=TURN, ended_at__isnull=False).update(rest_until=began)
    if _is_checked(row, began) and _nothing_is_late(began):
        return
    if row.ended_at is not None and began - _EVERY < row.ended_at:
        return
    if check_books() is not None:
        BooksWalk.objects.filter(name=_QUIET).update(ended_at=began)


def _is_checked(row: BooksWalk, now: dt.datetime) -> bool:
    """Return whether a whole check that found nothing wrong has begun since a row was last
    written, and all of the day was read."""
    return (
        row.began_at is not None
        and row.ended_at is not None
        and row.ended_at > max(row.began_at + _SETTLED, now - _HOUR)
        and BooksWalk.objects.filter(name=DAY_TURN, ended_at__isnull=False).exists()
        and _is_recent(DAY)
        and not BooksWalk.objects.exclude(unfinished=[]).exists()
        and BooksCheck.objects.filter(id=1, broken={}).exists()
    )


def _nothing_is_late(began: dt.datetime) -> bool:
    """Check what becomes wrong by itself. Record that the books were checked if nothing is."""
    late = Findings(time.monotonic() + CHECK_S, QUERY_S)
    late.check(timed_invariants(), Span().parameters())
    if late.broken or late.unfinished:
        return False
    took_ms = int((clock.now() - began).total_seconds() * 1000)
    BooksCheck.objects.filter(id=1).update(ran_at=clock.now(), took_ms=took_ms)
    return True


def check_books() -> dict[str, list[str]] | None:
    """Check new entries, store what is wrong and raise the alarm. Return {invariant: [object, …]}
    of everything wrong now, or None while the check rests or is paused. What could not be checked
    in time is not counted as wrong, and the next check continues there. If the checks are more than
    an hour behind, that is reported."""
    if is_check_paused() or not _claim():
        return None
    began = time.monotonic()
    all_findings = Findings(began + CHECK_S, QUERY_S)
    books_walk.prepare_tables()
    place = books_walk.walk(NEW, all_findings, _WALK_S)
    if place.reached and place.to_at is not None:
        _check_today(all_findings, place.to_at)
    elif not all_findings.unfinished and clock.now() - (place.to_at or BEGINNING) > _HOUR:
        all_findings.unfinished.append(f"postings since {place.to_at or BEGINNING}")
    findings.note(WHOLE, all_findings.broken)
    if place.reached:
        _check_present(all_findings, place)
    if is_check_paused():
        # The database was migrated meanwhile, so a failed read proves nothing.
        return None
    BooksWalk.objects.update_or_create(name=NEW, defaults={"unfinished": all_findings.unfinished})
    return _report(began)


def _check_today(all_findings: Findings, to_at: dt.datetime) -> None:
    # Only the entries of the last moments come after this instant.
    all_findings.check_span(Span(to_at))
    # What was read since a row was last written, by a request, a job or by hand, is not read again
    # for an hour, also while the other is.
    unwalked = find_unwalked(DAY_TURN, (DAY, DAY_SEALS))
    midnight = to_at.replace(hour=0, minute=0, second=0, microsecond=0)
    if DAY in unwalked or not _is_recent(DAY):
        books_walk.walk_day(all_findings, midnight, to_at, _DAY_S)
    if DAY_SEALS in unwalked or not _is_recent(DAY_SEALS):
        books_seals.check_seals_of_day(seal_key(), midnight, _DAY_SEALED_ROWS, findings.note)


def _is_recent(name: str) -> bool:
    """Return whether a walk ended within the last hour. After an hour it begins anew, whatever
    Postgres has counted."""
    return BooksWalk.objects.filter(name=name, ended_at__gt=clock.now() - _HOUR).exists()


def _check_present(all_findings: Findings, place: Place) -> None:
    """Check the invariants of the present state over all rows. Earlier findings that are not
    confirmed end."""
    present = Findings(time.monotonic() + CHECK_S, QUERY_S)
    present.check_present(Span(place.to_at), place.sums)
    findings.note(PRESENT, present.broken)
    unfinished = [text.split(":")[0] for text in present.unfinished]
    looked_at = [name for name in present_invariants() if name not in unfinished]
    findings.end_looked_at(PRESENT, looked_at, present.broken, books_walk.ROWS_MAX)
    all_findings.unfinished += present.unfinished


def is_check_paused() -> bool:
    """Return whether the database's migrations differ from this code's, because a check of another
    version would report new data as wrong. *System health* shows the pause; after an hour an email
    reports it. Findings during a migration are not stored either (`usage/books/findings.py`)."""
    difference = schema_difference()
    if not difference:
        BooksCheck.objects.filter(id=1).exclude(aside_since=None).update(aside_since=None)
        return False
    try:
        _note_aside(difference)
    except DatabaseError:
        # The table itself may belong to the other version.
        log.warning("the ledger check stands aside: %s", difference)
    return True


def _note_aside(difference: str) -> None:
    now = clock.now()
    with transaction.atomic():
        stored, _ = BooksCheck.objects.select_for_update().get_or_create(id=1)
        if stored.aside_since is None:
            stored.aside_since = now
        if stored.rest_until > now:
            # The lag was reported less than a minute ago.
            stored.save(update_fields=["aside_since"])
            return
        stored.rest_until = now + dt.timedelta(seconds=CHECK_S)
        stored.save(update_fields=["aside_since", "rest_until"])
        if stored.aside_since < now - _HOUR:
            _report_unchecked([f"{difference} since {clock.rfc3339(stored.aside_since)}"])
    log.warning("the ledger check stands aside: %s", difference)


def _claim() -> bool:
    """Reserve the check. Return whether it was due and no other process runs it."""
    BooksCheck.objects.get_or_create(id=1)
    now = clock.now()
    due = BooksCheck.objects.filter(id=1, rest_until__lte=now)
    return bool(due.update(rest_until=now + _LEASE))


def _report(began: float) -> dict[str, list[str]]:
    """Store the result of the check, and report the findings of the check and the walks."""
    broken = findings.wrong_now()
    took_ms, now = int((time.monotonic() - began) * 1000), clock.now()
    BooksCheck.objects.filter(id=1).update(
        ran_at=now,
        took_ms=took_ms,
        broken=broken,
        rest_until=now + dt.timedelta(milliseconds=took_ms * _REST_FACTOR),
    )
    findings.notify_operators()
    unfinished = [
        text
        for texts in BooksWalk.objects.order_by("name").values_list("unfinished", flat=True)
        for text in texts
    ]
    if unfinished:
        log.error("the ledger check did not finish: %s", unfinished)
        with transaction.atomic():
            _report_unchecked(unfinished)
    return broken


def _report_unchecked(unfinished: list[str]) -> None:
    """Report what could not be checked, at most once an hour and in a single email."""
    if not was_reported_since("books.unchecked", clock.now() - _HOUR):
        excerpts = [text[:_SHOWN_CHARACTERS] for text in unfinished[:10]]
        put("books.unchecked", None, parts=excerpts, count=len(unfinished))
