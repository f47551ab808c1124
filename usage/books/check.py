"""The minute's check of the books: what is new, the current day, and what stands now."""

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
from outbox.facts import put, told_since
from usage.books import findings
from usage.books import seals as books_seals
from usage.books import walk as books_walk
from usage.books.invariants import Span, of_the_present
from usage.books.walk import NEW, PRESENT, WHOLE, Findings, Place
from usage.models import BooksCheck

log = logging.getLogger(__name__)

# So long a check may take in all, one of its statements, and what was written before it is behind
# with: that is read a part at a time.
CHECK_S: Final = 60.0
QUERY_S: Final = 20.0
_WALK_S: Final = 20.0
# What was looked at before of the current day is looked at again for so long.
_DAY_S: Final = 2.0
_DAY_SEALED_ROWS: Final = 20_000
# Who checks has so long for it before another process tries.
_LEASE: Final = dt.timedelta(minutes=4)
_REST_FACTOR: Final = 4
_HOUR: Final = dt.timedelta(hours=1)
_SHOWN_CHARACTERS: Final = 300


def check_books() -> dict[str, list[str]] | None:
    """Check what is new, store what is wrong and raise the alarm; {invariant: [object, …]} of all
    that is wrong now, or None while it rests or stands aside.

    What could not be checked in time is reported as that, and not as wrong; with what is newer than
    an hour the next check goes on.
    """
    if stands_aside() or not _claim():
        return None
    began = time.monotonic()
    found = Findings(began + CHECK_S, QUERY_S)
    books_walk.prepare_tables()
    place = books_walk.walk(NEW, found, _WALK_S)
    if place.reached and place.to_at is not None:
        _look_at_today(found, place.to_at)
    elif not found.unfinished and clock.now() - (place.to_at or BEGINNING) > _HOUR:
        found.unfinished.append(f"postings since {place.to_at or BEGINNING}")
    findings.note(WHOLE, found.broken)
    if place.reached:
        _look_at_present(found, place)
    if stands_aside():
        # The database was migrated meanwhile: what could not be read says nothing.
        return None
    BooksWalk.objects.update_or_create(name=NEW, defaults={"unfinished": found.unfinished})
    return _report(began)


def _look_at_today(found: Findings, to_at: dt.datetime) -> None:
    # Behind it is only what was written in the last moments.
    found.look_at_span(Span(to_at))
    midnight = to_at.replace(hour=0, minute=0, second=0, microsecond=0)
    books_walk.walk_day(found, midnight, to_at, _DAY_S)
    books_seals.look_at_day(seal_key(), midnight, _DAY_SEALED_ROWS)


def _look_at_present(found: Findings, place: Place) -> None:
    """What is checked over everything at once: what is not found any more does not hold."""
    present = Findings(time.monotonic() + CHECK_S, QUERY_S)
    present.look_at_present(Span(place.to_at), place.sums)
    findings.note(PRESENT, present.broken)
    unfinished = [text.split(":")[0] for text in present.unfinished]
    looked_at = [name for name in of_the_present() if name not in unfinished]
    findings.end_looked_at(PRESENT, looked_at, present.broken, books_walk.ROWS_MAX)
    found.unfinished += present.unfinished


def stands_aside() -> bool:
    """Whether the database's migrations are not those of this code: a check of another version
    would take what is new for wrong. *System health* says so; after an hour, a letter does. What
    is found while the database is migrated is not noted either (`usage/books/findings.py`)."""
    difference = schema_difference()
    if not difference:
        BooksCheck.objects.filter(id=1).exclude(aside_since=None).update(aside_since=None)
        return False
    try:
        _note_aside(difference)
    except DatabaseError:
        # The table itself may be of the other version.
        log.warning("the ledger check stands aside: %s", difference)
    return True


def _note_aside(difference: str) -> None:
    now = clock.now()
    with transaction.atomic():
        stored, _ = BooksCheck.objects.select_for_update().get_or_create(id=1)
        if stored.aside_since is None:
            stored.aside_since = now
        if stored.rest_until > now:
            # It was said less than a minute ago.
            stored.save(update_fields=["aside_since"])
            return
        stored.rest_until = now + dt.timedelta(seconds=CHECK_S)
        stored.save(update_fields=["aside_since", "rest_until"])
        if stored.aside_since < now - _HOUR:
            _tell_unchecked([f"{difference} since {clock.rfc3339(stored.aside_since)}"])
    log.warning("the ledger check stands aside: %s", difference)


def _claim() -> bool:
    """Whether it is due, and nobody else is at it."""
    BooksCheck.objects.get_or_create(id=1)
    now = clock.now()
    due = BooksCheck.objects.filter(id=1, rest_until__lte=now)
    return bool(due.update(rest_until=now + _LEASE))


def _report(began: float) -> dict[str, list[str]]:
    """Store how the check has ended, and report what it and the walks have found."""
    broken = findings.wrong_now()
    took_ms, now = int((time.monotonic() - began) * 1000), clock.now()
    BooksCheck.objects.filter(id=1).update(
        ran_at=now,
        took_ms=took_ms,
        broken=broken,
        rest_until=now + dt.timedelta(milliseconds=took_ms * _REST_FACTOR),
    )
    findings.tell()
    unfinished = [
        text
        for texts in BooksWalk.objects.order_by("name").values_list("unfinished", flat=True)
        for text in texts
    ]
    if unfinished:
        log.error("the ledger check did not finish: %s", unfinished)
        with transaction.atomic():
            _tell_unchecked(unfinished)
    return broken


def _tell_unchecked(unfinished: list[str]) -> None:
    """Report once an hour what could not be checked: one letter for all of it."""
    if not told_since("books.unchecked", clock.now() - _HOUR):
        shown = [text[:_SHOWN_CHARACTERS] for text in unfinished[:10]]
        put("books.unchecked", None, parts=shown, count=len(unfinished))
