"""Delete the oldest part of the audit trail, and check the rest.

A cut is at the end of a seal. It deletes the events with the seals over them, after these seals
were checked: events that were edited before are reported, not deleted. A signed cut records where
the chain begins from then on. The trail's trigger only allows deletions before the cut.
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
    """The chain of the trail's seals is broken."""

    def __init__(self, broken: list[Broken]) -> None:
        super().__init__("; ".join(f"seal {one.seal_id}: {one.problem}" for one in broken))


def cut_trail(key: bytes) -> int:
    """Delete the events that are older than the retention time. Return how many. Raises TrailBroken
    if their chain is broken."""
    days = audit_retention_days()
    if not days:
        return 0
    return cut_trail_before(key, clock.now() - dt.timedelta(days=days))


def cut_trail_before(key: bytes, edge: dt.datetime) -> int:
    """Delete the events of the seals that end at or before an instant. Return how many. Raises
    TrailBroken."""
    with transaction.atomic(), connection.cursor() as cursor:
        # The lock prevents new seals meanwhile.
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
    """Check the whole chain and store the result for the audit page. Raises TrailBroken."""
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
