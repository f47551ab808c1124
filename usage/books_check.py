"""The invariants over the whole books: each minute by a task, and whenever somebody asks."""

import datetime as dt
import json
import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.db import OperationalError, connection, transaction

from billing.models import PriceVersion as StoredVersion
from billing.rules.pricing import PriceVersion, total_of
from lib import clock
from outbox.facts import put
from outbox.models import Fact
from usage.invariants import broken_invariants
from usage.models import BooksCheck
from usage.receipts import UNCHARGED

log = logging.getLogger(__name__)

_QUERY_S: Final = 120
_UNCHECKED: Final = "the check came to an end"
_REST_FACTOR: Final = 20
_ROWS: Final = 5_000
_SHOWN_CHARACTERS: Final = 300


def check_books() -> dict[str, list[Any]] | None:
    """Run the invariants, keep the result and raise the alarm; None while it rests."""
    with transaction.atomic():
        last, _ = BooksCheck.objects.select_for_update().get_or_create(id=1)
        if last.rest_until > clock.now():
            return None
        began = time.monotonic()
        broken = _broken()
        took_ms = int((time.monotonic() - began) * 1000)
        last.ran_at, last.took_ms = clock.now(), took_ms
        last.broken = {name: [str(row) for row in rows] for name, rows in broken.items()}
        last.rest_until = last.ran_at + dt.timedelta(milliseconds=took_ms * _REST_FACTOR)
        last.save()
        for name, rows in broken.items():
            _tell(name, rows)
    for name, rows in broken.items():
        log.critical("the books are wrong: %s: %s", name, rows)
    return broken


def _broken() -> dict[str, list[Any]]:
    """What is wrong; that it cannot be said is wrong, too, and is not tried again each minute."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{_QUERY_S}s'")
            return broken_invariants(cursor)
    except OperationalError as error:
        return {_UNCHECKED: [(str(error).strip(),)]}


def _tell(name: str, rows: list[Any]) -> None:
    """Tell the operators of an invariant that does not hold, once an hour (I25)."""
    hour_ago = clock.now() - dt.timedelta(hours=1)
    facts = Fact.objects.filter(kind="books.wrong", body__name=name, created_at__gt=hour_ago)
    if not facts.exists():
        put("books.wrong", None, name=name, rows=len(rows), first=str(rows[0])[:_SHOWN_CHARACTERS])


def wrong_charges() -> Iterator[tuple[Any, str]]:
    """Records whose charge does not come out of their own meters and price version (I10)."""
    versions: dict[int, PriceVersion] = {}
    after: Any = None
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_RECORDS, {"after": after, "limit": _ROWS})
            rows = cursor.fetchall()
        missing = {row[3] for row in rows if row[3] is not None} - versions.keys()
        for id, version in StoredVersion.objects.in_bulk(missing).items():
            versions[id] = PriceVersion.from_stored(version.rates)
        for row in rows:
            problem = _problem(row, versions)
            if problem:
                yield row[0], problem
        if len(rows) < _ROWS:
            return
        after = rows[-1][0]


def _problem(row: Any, versions: dict[int, PriceVersion]) -> str:
    _, stored, charge_nano, version_id, multiplier_ppm, hold_nano, basis = row
    # Django's connection gives JSON as text.
    meters: Mapping[str, int] = json.loads(stored) if isinstance(stored, str) else stored
    if basis in UNCHARGED or version_id is None:
        return f"charged {charge_nano}, expected 0" if charge_nano else ""
    total = total_of(meters, versions[version_id].multiplied(multiplier_ppm))
    if not isinstance(total, int):
        return f"its meters have no price: {total.reason}"
    wanted = min(total, hold_nano)
    return "" if charge_nano == wanted else f"charged {charge_nano}, expected {wanted}"


_RECORDS: Final = """
    SELECT id, meters, charge_nano, price_version_id, multiplier_ppm, hold_nano, basis
    FROM usage_usagerecord WHERE %(after)s::uuid IS NULL OR id > %(after)s ORDER BY id
    LIMIT %(limit)s"""
