"""Statements for holds of dead processes: the leases of live processes, the progress of attempts,
and abandoned holds."""

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from billing.ledger.sql_statement import Statement
from lib.database.advisory_locks import AdvisoryLock
from lib.ids import id_array, id_bounds

LEASE_S: Final = 10
"""How long a process counts as alive after its last heartbeat."""
SILENCE_S: Final = 5
"""How long a suspected process may still renew its lease before its holds are swept. A process that
was only cut off from the database renews it within this time."""


class Mark(NamedTuple):
    """The confirmed progress of one attempt, as meters in JSON text. The provider counts at least
    these."""

    attempt_id: UUID
    meters: str


def mark_holds(marks: Sequence[Mark]) -> Statement:
    """Record the progress of these attempts. A resolved hold keeps its last mark."""
    attempts, meters = zip(*marks, strict=True)
    quoted = [text.replace('"', '\\"') for text in meters]
    return _MARK_HOLDS, {
        **id_bounds(attempts),
        "attempts": id_array(attempts),
        "meters": "{" + ",".join([f'"{text}"' for text in quoted]) + "}",
    }


def renew_lease(process_id: UUID, seconds: int = LEASE_S) -> Statement:
    """Record that a process is alive and will report again within `seconds`."""
    return _RENEW_LEASE, {"process": process_id, "seconds": seconds}


def suspect_processes() -> Statement:
    """Mark as suspected the processes whose lease has run out."""
    return _SUSPECT_PROCESSES, {}


def forget_processes() -> Statement:
    """Delete the processes that died long ago and have no open hold."""
    return _FORGET_PROCESSES, {}


def due_holds(limit: int) -> Statement:
    """Select open holds that nobody will settle, oldest first: (attempt_id, organisation_id,
    amount_nano, own_nano, mark, rated_ids, units). `amount_nano` is the most that each is charged,
    `own_nano` the most that the organisation pays its provider itself. `rated_ids` is null if no
    limit counts its tokens. `units` are its included units, as JSON of each meter in order.

    These holds are past their time, or their process has been suspected for SILENCE_S.
    They are not locked here, because accounts are locked first; `resolve_holds` checks them again.
    """
    return _DUE_HOLDS, {"limit": limit, "silence": SILENCE_S}


def held_units(attempt_id: UUID) -> Statement:
    """Select the `units` of a hold, as in `due_holds`; null if it holds none."""
    return _HELD_UNITS, {"attempt": attempt_id}


def assign_to_sweep(attempt_id: UUID, seconds: int) -> Statement:
    """Let the open hold of an attempt outlive its process for `seconds`. The record that the same
    transaction writes must resolve it later. The hold no longer counts against a limit of
    concurrent requests. Returns (attempt_id,), or no row if the hold is already resolved."""
    return _ENTRUST_HOLD, {"attempt": attempt_id, "seconds": seconds}


def try_sweep_lock() -> Statement:
    """Returns (true,) for the one transaction that may sweep. The lock ends with the
    transaction."""
    return _TRY_SWEEP_LOCK, {}


_MARK_HOLDS = """
    UPDATE billing_hold hold SET mark = marked.meters
    FROM unnest(%(attempts)s::uuid[], %(meters)s::jsonb[]) AS marked (attempt_id, meters)
    WHERE hold.id = marked.attempt_id AND hold.resolved_at IS NULL
      AND hold.id BETWEEN %(first)s::uuid AND %(last)s::uuid"""

_ENTRUST_HOLD = """
    UPDATE billing_hold
    SET process_id = NULL, expires_at = now() + %(seconds)s::int * interval '1 second',
        rated_ids = NULL, tokens = NULL, leased_key_id = NULL, leased_team_id = NULL,
        leased_organisation_id = NULL, leased_member_id = NULL, leased_channel_id = NULL
    WHERE id = %(attempt)s::uuid AND resolved_at IS NULL RETURNING id"""

_RENEW_LEASE = """
    INSERT INTO billing_process (id, alive_until)
    VALUES (%(process)s::uuid, now() + %(seconds)s::int * interval '1 second')
    ON CONFLICT (id) DO UPDATE SET alive_until = excluded.alive_until, suspected_at = NULL"""

_SUSPECT_PROCESSES = """
    UPDATE billing_process SET suspected_at = now()
    WHERE alive_until < now() AND suspected_at IS NULL"""

_FORGET_PROCESSES = """
    DELETE FROM billing_process process
    WHERE suspected_at < now() - interval '1 hour' AND NOT EXISTS (
        SELECT FROM billing_hold hold WHERE hold.state = 'open' AND hold.process_id = process.id)"""

_UNITS = """(
               SELECT json_object_agg(quota.meter, taken.count ORDER BY taken.place)
               FROM unnest(hold.quota_ids, hold.quota_units)
                   WITH ORDINALITY AS taken (quota_id, count, place)
               JOIN billing_includedunits quota ON quota.id = taken.quota_id)"""

_HELD_UNITS = f"SELECT {_UNITS} FROM billing_hold hold WHERE hold.id = %(attempt)s::uuid"  # noqa: S608

_DUE_HOLDS = f"""
    SELECT hold.id, hold.organisation_id, hold.amount_nano + coalesce(hold.included_nano, 0),
           hold.own_nano, hold.mark, hold.rated_ids, {_UNITS}
    FROM billing_hold hold
    LEFT JOIN billing_process process ON process.id = hold.process_id
    WHERE hold.state = 'open' AND (
        hold.expires_at < now()
        OR process.suspected_at < now() - %(silence)s * interval '1 second')
    ORDER BY hold.expires_at LIMIT %(limit)s"""  # noqa: S608 - only constants are put in

_TRY_SWEEP_LOCK = f"SELECT pg_try_advisory_xact_lock({AdvisoryLock.SWEEP_HOLDS})"
