"""The invariants over the whole books: each minute by a task over what is new, each day over all of
it, and whenever somebody asks."""

import datetime as dt
import json
import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final
from uuid import UUID

from django.db import connection

from accounts.models import Organisation
from billing.models import BooksWalk
from billing.models import PriceVersion as StoredVersion
from billing.rules.pricing import PriceVersion, saved_by_cache, total_of
from billing.spans import BEGINNING
from lib import clock
from outbox.facts import put
from outbox.models import Fact
from usage import books_walk
from usage.books_walk import Findings, as_stored
from usage.invariants import Span
from usage.models import BooksCheck
from usage.rules.outcomes import UNCHARGED

log = logging.getLogger(__name__)

NEW, WHOLE = "new", "whole"
# So long a check may take in all, one of its statements, and what was written before it is behind
# with: that is read a part at a time.
_CHECK_S: Final = 60.0
_QUERY_S: Final = 20.0
_WALK_S: Final = 20.0
# Who checks has so long for it before another process tries.
_LEASE: Final = dt.timedelta(minutes=4)
_REST_FACTOR: Final = 4
# The whole is read again each day, so much of it in one run.
_SLICE_S: Final = 5.0
_DAY: Final = dt.timedelta(days=1)
_ROWS: Final = 5_000
_SHOWN_CHARACTERS: Final = 300


def check_books() -> dict[str, list[Any]] | None:
    """Look at what is new, keep what is wrong and raise the alarm; None while it rests.

    What was found before stays wrong until all was looked at again. What could not be looked at in
    time is told as that, and not as wrong.
    """
    if not _claim():
        return None
    began = time.monotonic()
    findings = Findings(began + _CHECK_S, _QUERY_S)
    place = books_walk.walk(NEW, findings, _WALK_S)
    if place.reached:
        # Behind it is only what was written in the last moments.
        open_end = Span(place.to_at, quarters=False)
        findings.look_at_span(open_end)
        findings.look_at_present(open_end, place.sums)
    elif not findings.unfinished:
        findings.unfinished.append(f"postings since {place.to_at or BEGINNING}")
    _note_unfinished(NEW, findings)
    return _report(findings, began)


def check_whole() -> None:
    """Go on with the walk through everything, which begins anew each day."""
    now = clock.now()
    stored = BooksWalk.objects.filter(name=WHOLE).first()
    if stored is None or stored.began_at is None or stored.has_ended:
        if stored and stored.began_at and now - stored.began_at < _DAY:
            return
        books_walk.begin(WHOLE, now)
    newest = BooksWalk.objects.filter(name=NEW).first()
    if newest is None or newest.to_at is None:
        return
    findings = Findings(time.monotonic() + _CHECK_S, _QUERY_S)
    place = books_walk.walk(WHOLE, findings, _SLICE_S, newest.to_at)
    _note_unfinished(WHOLE, findings)
    if place.reached:
        books_walk.end(WHOLE, NEW, clock.now())


def _claim() -> bool:
    """Whether it is due, and nobody else is at it."""
    BooksCheck.objects.get_or_create(id=1)
    now = clock.now()
    due = BooksCheck.objects.filter(id=1, rest_until__lte=now)
    return bool(due.update(rest_until=now + _LEASE))


def _note_unfinished(name: str, findings: Findings) -> None:
    BooksWalk.objects.update_or_create(name=name, defaults={"unfinished": findings.unfinished})


def _report(findings: Findings, began: float) -> dict[str, list[Any]]:
    """Keep and tell what this check has found, and what the walks have found before it."""
    broken: dict[str, list[Any]] = {}
    unfinished: list[str] = []
    for stored in BooksWalk.objects.order_by("name"):
        broken |= stored.broken | stored.found
        unfinished += stored.unfinished
    broken |= findings.broken
    took_ms, now = int((time.monotonic() - began) * 1000), clock.now()
    BooksCheck.objects.filter(id=1).update(
        ran_at=now,
        took_ms=took_ms,
        broken=as_stored(broken),
        rest_until=now + dt.timedelta(milliseconds=took_ms * _REST_FACTOR),
    )
    for name, rows in broken.items():
        log.critical("the books are wrong: %s: %s", name, rows)
        _tell("books.wrong", name, rows)
    if unfinished:
        log.error("the check of the books did not finish: %s", unfinished)
        _tell("books.unchecked", unfinished[0].split(":")[0], unfinished)
    return broken


def _tell(kind: str, name: str, rows: list[Any]) -> None:
    """Tell the operators of an invariant, once an hour (I25)."""
    hour_ago = clock.now() - dt.timedelta(hours=1)
    if not Fact.objects.filter(kind=kind, body__name=name, created_at__gt=hour_ago).exists():
        put(kind, None, name=name, rows=len(rows), first=str(rows[0])[:_SHOWN_CHARACTERS])


def wrong_charges() -> Iterator[tuple[Any, str]]:
    """Records whose charge does not come out of their own meters and price version (I10)."""
    versions: dict[int, PriceVersion] = {}
    for rows in _pages_of_records():
        missing = {row[3] for row in rows if row[3] is not None} - versions.keys()
        for id, version in StoredVersion.objects.in_bulk(missing).items():
            versions[id] = PriceVersion.from_stored(version.rates)
        for row in rows:
            problem = _problem(row, versions)
            if problem:
                yield row[0], problem


def _pages_of_records() -> Iterator[list[Any]]:
    """Organisation by organisation, each by id, as the primary key has them: in any other order
    every page would be looked for in all that come after it."""
    for organisation in Organisation.objects.values_list("id", flat=True):
        after = UUID(int=0)
        rows: list[Any] | None = None
        while rows is None or len(rows) == _ROWS:
            page: dict[str, Any] = {"organisation": organisation, "after": after, "limit": _ROWS}
            with connection.cursor() as cursor:
                cursor.execute(_RECORDS, page)
                rows = cursor.fetchall()
            yield rows
            after = rows[-1][0] if rows else after


def _problem(row: Any, versions: dict[int, PriceVersion]) -> str:
    _, stored, charge_nano, version_id, multiplier_ppm, hold_nano, basis, saved_nano = row
    # Django's connection gives JSON as text.
    meters: Mapping[str, int] = json.loads(stored) if isinstance(stored, str) else stored
    if basis in UNCHARGED or version_id is None:
        return f"charged {charge_nano}, expected 0" if charge_nano else ""
    version = versions[version_id].multiplied(multiplier_ppm)
    total = total_of(meters, version)
    if not isinstance(total, int):
        return f"its meters have no price: {total.reason}"
    wanted = min(total, hold_nano)
    if charge_nano != wanted:
        return f"charged {charge_nano}, expected {wanted}"
    saved = saved_by_cache(meters, version)
    return "" if saved_nano in (None, saved) else f"saved {saved_nano}, expected {saved}"


_RECORDS: Final = """
    SELECT id, meters, charge_nano, price_version_id, multiplier_ppm, hold_nano, basis, saved_nano
    FROM usage_usagerecord WHERE organisation_id = %(organisation)s AND id > %(after)s
    ORDER BY id LIMIT %(limit)s"""
