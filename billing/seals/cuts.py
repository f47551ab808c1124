"""Cutting off the oldest part of the trail, and looking at what is left.

A part is cut at the end of a seal, together with the seals over it, once they are seen to hold:
what was edited before is told, and not cut. A signed cut says where the chain begins from then on.
The trigger that guards the trail lets go what lies before it, and nothing else.
"""

import datetime as dt
from typing import Final

from django.db import connection, transaction

from accounts.access.actors import SYSTEM
from accounts.audit import audit
from accounts.models import AuditCheck
from billing.models import Seal, SealCut, SealKind
from billing.safeguards.safeguards import audit_retention_days
from billing.seals.seals import LOCK, Broken, broken_chain, sign_cut
from lib import clock

_TRAIL: Final = SealKind.TRAIL


class TrailBroken(Exception):
    """The chain of the trail does not hold."""

    def __init__(self, broken: list[Broken]) -> None:
        super().__init__("; ".join(f"seal {one.seal_id}: {one.problem}" for one in broken))


def cut_trail(key: bytes) -> int:
    """Cut off the events that are older than the installation keeps; how many. Raises TrailBroken
    where their chain does not hold."""
    days = audit_retention_days()
    if not days:
        return 0
    return cut_trail_before(key, clock.now() - dt.timedelta(days=days))


def cut_trail_before(key: bytes, edge: dt.datetime) -> int:
    """Cut off the events of the seals that end by an instant; how many. Raises TrailBroken."""
    with transaction.atomic(), connection.cursor() as cursor:
        # No seal is made meanwhile.
        cursor.execute(LOCK)
        last = Seal.objects.filter(kind=_TRAIL, to_at__lte=edge).order_by("-id").first()
        if last is None:
            return 0
        if broken := broken_chain(cursor, key, _TRAIL, last.to_at):
            raise TrailBroken(broken)
        code = bytes(last.code)
        cut, _ = SealCut.objects.update_or_create(
            kind=_TRAIL,
            defaults={
                "until": last.to_at,
                "code": code,
                "signature": sign_cut(key, _TRAIL, last.to_at, code),
            },
        )
        cursor.execute("SELECT weir_drop_cut_trail()")
        ((dropped,),) = cursor.fetchall()
        if dropped:
            until = clock.rfc3339(last.to_at)
            audit.record(SYSTEM, None, "audit.cut", cut, until=until, events=dropped)
        return int(dropped)


def check_trail(key: bytes) -> None:
    """Look at the whole chain and keep what is found, for the page of the trail. Raises
    TrailBroken."""
    with connection.cursor() as cursor:
        broken = broken_chain(cursor, key, _TRAIL)
    last = Seal.objects.filter(kind=_TRAIL).order_by("-id").first()
    error = TrailBroken(broken) if broken else None
    AuditCheck.objects.update_or_create(
        id=1,
        defaults={
            "checked_at": clock.now(),
            "until": last.to_at if last else None,
            "problem": str(error or ""),
        },
    )
    if error is not None:
        raise error
