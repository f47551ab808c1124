"""Endless walks through everything stored, one after the other, at a limited share of one core: the
ledger and its rows, charges of usage records, seals, and the copies of usage in files or
sinks.

A turn is a short piece of a walk. The next turn starts after nineteen times its duration, so the
walks take 5 % of one core, including the database's work. They take a fiftieth of that once every
row was walked and none was written since, by a request, a job or by hand (P33): what an idle
installation costs must not grow with its books. The check that notices a new row ends that rest
(`check.py`).
"""

import datetime as dt
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from django.db import DatabaseError
from django.db.models import F

from accounts.secrets.key_ring import seal_key
from billing.models import BooksWalk
from billing.prices.pricing import PriceVersion
from lib import clock
from usage.books import findings
from usage.books import seals as books_seals
from usage.books import walk as books_walk
from usage.books.charge_check import Place, wrong_charges_after
from usage.books.check import CHECK_S, QUERY_S, is_check_paused
from usage.books.seals import SEALS
from usage.books.walk import NEW, WHOLE, Findings
from usage.books.written_rows import TURN, are_walked
from usage.month_files.signatures import find_altered
from usage.sinks.sinks import used_copies
from usage.sinks.usage_sink import SinkError

SHARE: Final = 0.05
"""The share of one core, over time."""
QUIET_SHARE: Final = 0.001
"""The share while every row was walked since the last one was written."""
AGAIN: Final = dt.timedelta(minutes=10)
"""The minimum time between two starts of a walk, because small books are walked quickly."""
LATE: Final = dt.timedelta(hours=1)
"""How old the newest complete walk may be before a page warns of it."""
CHARGES, COPIES = "charges", "copies"
CHARGED: Final = "I10 cost recomputes"
SIGNED: Final = "P22 what stands in place of a month in a file is what was signed"
COPIED: Final = "%s has the sums of Postgres"

_LEASE: Final = dt.timedelta(minutes=4)
_SEALED_ROWS: Final = 10_000
# A machine that others keep busy makes a turn long, and must not stop the walks.
_REST_MAX: Final = dt.timedelta(minutes=10)
# The maximum duration of one turn over rows that are quick to read.
_TURN_S: Final = 0.5


class MonthRow(NamedTuple):
    """A detached month with a wrong signature, as a finding."""

    problem: str
    month: str


def check_whole() -> None:
    """Take a turn of a walk if one is due."""
    BooksWalk.objects.get_or_create(name=TURN)
    now = clock.now()
    turn = BooksWalk.objects.filter(name=TURN)
    if not turn.filter(rest_until__lte=now).update(rest_until=now + _LEASE):
        return
    began = time.monotonic()
    if is_check_paused():
        return
    stored = _next()
    if stored is None:
        first = BooksWalk.objects.filter(name__in=WALKS).earliest("rest_until").rest_until
        turn.update(rest_until=first)
        return
    _continue_walk(stored)
    took = dt.timedelta(seconds=time.monotonic() - began)
    share = QUIET_SHARE if are_walked(TURN, WALKS) else SHARE
    turn.update(rest_until=clock.now() + min(took * (1 / share - 1), _REST_MAX))


def complete_at() -> dt.datetime | None:
    """Return when the walk that lags most last completed, or None until each has completed once."""
    ends = list(BooksWalk.objects.filter(name__in=WALKS).values_list("ended_at", flat=True))
    known = [at for at in ends if at is not None]
    return min(known) if len(known) == len(WALKS) else None


def _next() -> BooksWalk | None:
    """Return the walk to continue: one that has begun, or else the one that ended longest ago."""
    for name in WALKS:
        BooksWalk.objects.get_or_create(name=name)
    due = BooksWalk.objects.filter(name__in=WALKS, rest_until__lte=clock.now())
    walks = list(due.order_by(F("ended_at").asc(nulls_first=True), "name"))
    begun = [walk for walk in walks if walk.began_at is not None and not walk.has_ended]
    return next(iter([*begun, *walks]), None)


def _continue_walk(stored: BooksWalk) -> None:
    walk = BooksWalk.objects.filter(name=stored.name)
    if stored.began_at is None or stored.has_ended:
        stored.began_at, stored.after = clock.now(), ""
        walk.update(after="")
        books_walk.begin(stored.name, stored.began_at)
    unfinished: list[str] = []
    try:
        ended = WALKS[stored.name](stored, unfinished)
    except (DatabaseError, SinkError) as error:
        ended = False
        unfinished.append(f"{stored.name}: {str(error).strip()}")
    if is_check_paused():
        # The database was migrated meanwhile.
        return
    walk.update(unfinished=unfinished, after=stored.after)
    if ended:
        findings.end_unseen(stored.name, stored.began_at)
        walk.update(ended_at=clock.now(), rest_until=stored.began_at + AGAIN)


def _walk_ledger(stored: BooksWalk, unfinished: list[str]) -> bool:
    newest = BooksWalk.objects.filter(name=NEW).first()
    if newest is None or newest.to_at is None:
        return False
    findings = Findings(time.monotonic() + CHECK_S, QUERY_S)
    place = books_walk.walk(WHOLE, findings, _TURN_S, newest.to_at)
    unfinished += findings.unfinished
    return place.reached and books_walk.end(WHOLE, NEW, clock.now())


def _walk_charges(stored: BooksWalk, unfinished: list[str]) -> bool:
    began, versions = time.monotonic(), dict[int, PriceVersion]()
    place: Place | None = Place.from_text(stored.after)
    while place is not None:
        wrong, place = wrong_charges_after(place, versions)
        findings.note(CHARGES, {CHARGED: wrong})
        if time.monotonic() - began > _TURN_S:
            break
    stored.after = str(place or "")
    return place is None


def _walk_seals(stored: BooksWalk, unfinished: list[str]) -> bool:
    place = books_seals.check_seals_from(seal_key(), stored.after, _SEALED_ROWS, findings.note)
    stored.after = place or ""
    return place is None


def _walk_copies(stored: BooksWalk, unfinished: list[str]) -> bool:
    months = [MonthRow(text, text.partition(":")[0]) for text in find_altered(seal_key())]
    findings.note(COPIES, {SIGNED: months})
    for sink in used_copies():
        findings.note(COPIES, {COPIED % sink.title: sink.different_days()})
    return True


WALKS: Final[Mapping[str, Callable[[BooksWalk, list[str]], bool]]] = {
    WHOLE: _walk_ledger,
    CHARGES: _walk_charges,
    SEALS: _walk_seals,
    COPIES: _walk_copies,
}
"""The walks. Each function continues for one turn and returns whether everything was walked."""
