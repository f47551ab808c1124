"""Holds that nobody settled: their process died, or lost the database for too long.

The relay places and settles holds itself; here is what resolves the rest (I24).
"""

from typing import NamedTuple
from uuid import UUID

from billing import sql
from billing.ledger import execute
from lib.ids import new_id


class ExpiredHold(NamedTuple):
    """A hold that was released in full because its time was over."""

    attempt_id: UUID
    organisation_id: UUID


def expire_due_holds(limit: int) -> list[ExpiredHold]:
    """Release up to `limit` holds past their time; those that this call released.

    Runs in the caller's transaction, which then writes their records. Any number of processes may
    call it: one works, the others find nothing to do. A settlement that comes later finds the hold
    resolved and changes nothing (I6, I7).
    """
    if execute(sql.try_sweep_lock()) != [(True,)]:
        return []
    due = [ExpiredHold(*row) for row in execute(sql.due_holds(limit))]  # type: ignore[arg-type]
    if not due:
        return []
    execute(sql.lock_accounts({hold.organisation_id for hold in due}))
    released = execute(
        sql.resolve_holds(
            [
                sql.HoldResolved(hold.attempt_id, new_id(), hold.organisation_id, "expired", 0)
                for hold in due
            ]
        )
    )
    resolved = {row[0] for row in released}
    return [hold for hold in due if hold.attempt_id in resolved]
