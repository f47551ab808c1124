"""Walks along the seals over the ledger and the audit log: some seals at a time (P22)."""

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from django.db import connection

from billing.models import BooksWalk, Seal, SealKind
from billing.seals.seals import broken_part
from lib import clock

SEALED = "P22 a sealed row is as it was"
DAY_SEALS, SEALS = "dayseals", "seals"

Note = Callable[[str, Mapping[str, Collection[Any]]], None]
"""Stores what a walk found, by invariant (`findings.note`)."""


class BrokenSeal(NamedTuple):
    """An invalid seal, as a finding."""

    kind: str
    seal: int
    found: str


def check_seals_of_day(key: bytes, midnight: dt.datetime, rows_max: int, note: Note) -> None:
    """Check the next ledger seals of the day. After the last seal, start again with the first."""
    stored, _ = BooksWalk.objects.get_or_create(name=DAY_SEALS)
    before = Seal.objects.filter(kind=SealKind.LEDGER, to_at__lt=midnight).order_by("-id")
    yesterday = before.values_list("id", flat=True).first() or 0
    after = max(int(stored.after or 0), yesterday)
    if not stored.after:
        stored.began_at = clock.now()
    stored.after = str(_check_kind(SealKind.LEDGER, key, after, rows_max, note) or "")
    if not stored.after:
        stored.ended_at = clock.now()
    stored.save(update_fields=["after", "began_at", "ended_at"])


def check_seals_from(key: bytes, place: str, rows_max: int, note: Note) -> str | None:
    """Check the next seals after a place. Return the place to continue from, or None after the last
    seal."""
    kind, _, after = (place or f"{SealKind.LEDGER} 0").partition(" ")
    last = _check_kind(kind, key, int(after), rows_max, note)
    if last is not None:
        return f"{kind} {last}"
    return f"{SealKind.TRAIL} 0" if kind == SealKind.LEDGER else None


def _check_kind(kind: str, key: bytes, after: int, rows_max: int, note: Note) -> int | None:
    with connection.cursor() as cursor:
        broken, last = broken_part(cursor, key, kind, after, rows_max)
    if broken:
        rows = [BrokenSeal(kind, seal.seal_id, seal.problem) for seal in broken]
        note(SEALS, {SEALED: rows})
    return last
