"""Resolve the holds that nobody settled: their process died, or lost the database for too long.

The relay places and settles its holds with its own statements. This file resolves the rest (I24);
`rules.py` has the states of a hold.
"""

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from billing.holds import sweep_holds
from billing.holds.resolve_holds import HoldResolved, Loss, post_losses, resolve_holds
from billing.ledger.accounts import LOSS_KINDS, lock_accounts, open_accounts
from billing.ledger.hold_rules import HoldState
from billing.ledger.ledger import execute
from billing.limits.enforcement import lock_channels
from billing.models import Process
from billing.prices.meters import find_meter
from billing.subscriptions.included_units import NOTHING_PAID, Paid
from lib import clock
from lib.id_types import AttemptId, OrganisationId
from lib.ids import new_id


class DueHold(NamedTuple):
    """A hold that nobody will settle, charged at most `amount_nano`. `mark` has the meters of the
    last high-water mark, `units` the held included units by meter. `own_nano` is the most that the
    organisation pays its provider itself, None for the installation's keys."""

    attempt_id: AttemptId
    organisation_id: OrganisationId
    amount_nano: int
    own_nano: int | None
    mark: Mapping[str, int] | None
    units: Mapping[str, int]


def due_holds(limit: int) -> list[DueHold]:
    """Return up to `limit` holds that are past their time or whose process died. Lock their
    accounts, then the rows that count their tokens, in the one order of locks (I23).

    Runs in the transaction in which `expire` then resolves the holds. Any number of processes may
    call it: only one gets holds, the others get an empty list.
    """
    if execute(sweep_holds.try_sweep_lock()) != [(True,)]:
        return []
    execute(sweep_holds.suspect_processes())
    execute(sweep_holds.forget_processes())
    due, rated = list[DueHold](), set[UUID]()
    for attempt_id, organisation_id, amount_nano, own_nano, mark, rated_ids, units in execute(
        sweep_holds.due_holds(limit)
    ):
        due.append(
            DueHold(
                attempt_id=attempt_id,
                organisation_id=organisation_id,
                amount_nano=amount_nano,
                own_nano=own_nano,
                mark=_meters(mark),
                units=_meters(units) or {},
            )
        )
        rated.update(rated_ids or ())
    if due:
        execute(lock_accounts({hold.organisation_id for hold in due}))
    if rated:
        # `rated` mixes channels with other ids. Nobody takes this lock for the other ids.
        execute(lock_channels(rated))
    return due


def suspect_all() -> None:
    """Suspect every process that has placed a hold, so that all open holds are due."""
    Process.objects.update(
        suspected_at=clock.now() - dt.timedelta(seconds=10 * sweep_holds.SILENCE_S)
    )


class Expired(NamedTuple):
    """The result of a due hold: the customer's charge, the provider's cost of that charge, the cost
    that nobody pays, the part of the charge that included units pay, and what the organisation pays
    its provider itself."""

    hold: DueHold
    charge_nano: int
    cost_nano: int
    loss_nano: int
    paid: Paid
    own_nano: int


def expire(due: Sequence[Expired]) -> set[UUID]:
    """Resolve these holds. Return the ids of the attempts that this call resolved.

    An attempt uses as much of a limit on tokens per minute as its last mark has tokens. A later
    settlement finds the hold resolved and moves nothing (I6, I7).
    """
    if not due:
        return set()
    rows = execute(
        resolve_holds(
            [
                HoldResolved(
                    attempt_id=one.hold.attempt_id,
                    posting_id=new_id(),
                    organisation_id=one.hold.organisation_id,
                    state="expired",
                    charge_nano=one.charge_nano,
                    tokens=_tokens(one.hold.mark or {}),
                    cost_nano=one.cost_nano,
                    included_nano=one.paid.nano,
                    units=one.paid.of_each(one.hold.units),
                    own_nano=one.own_nano,
                )
                for one in due
            ]
        )
    )
    resolved = {row[0] for row in rows}
    losses = [
        Loss(
            attempt_id=one.hold.attempt_id,
            posting_id=new_id(),
            organisation_id=one.hold.organisation_id,
            amount_nano=one.loss_nano,
        )
        for one in due
        if one.loss_nano and one.hold.attempt_id in resolved
    ]
    if losses:
        execute(open_accounts({loss.organisation_id for loss in losses}, LOSS_KINDS))
        execute(post_losses(losses, "expired"))
    return resolved


class Ended(NamedTuple):
    """The end of an attempt that outlived its process: settled at its charge, or voided. It
    contains the provider's cost, the part of the charge that the held included `units` pay, and
    what the organisation pays its provider itself."""

    attempt_id: AttemptId
    organisation_id: OrganisationId
    state: HoldState
    charge_nano: int = 0
    cost_nano: int = 0
    paid: Paid = NOTHING_PAID
    units: Mapping[str, int] = MappingProxyType({})
    own_nano: int = 0


def units_held(attempt_id: UUID) -> Mapping[str, int]:
    """Return the included units that an attempt's hold has, by meter."""
    ((units,),) = execute(sweep_holds.held_units(attempt_id)) or [(None,)]
    return _meters(units) or {}


def lock_wallets(organisation_ids: Iterable[UUID]) -> None:
    """Lock the accounts that `end` posts to, before anything else in the transaction."""
    execute(lock_accounts(organisation_ids))


def end(ended: Ended) -> bool:
    """Resolve the hold of an attempt that outlived its process, in the transaction that writes the
    record. Return False if the hold is already resolved; nothing moves then (I6). Call
    `lock_wallets` first."""
    hold = HoldResolved(
        attempt_id=ended.attempt_id,
        posting_id=new_id(),
        organisation_id=ended.organisation_id,
        state=ended.state,
        charge_nano=ended.charge_nano,
        cost_nano=ended.cost_nano,
        included_nano=ended.paid.nano,
        units=ended.paid.of_each(ended.units),
        own_nano=ended.own_nano,
    )
    return bool(execute(resolve_holds([hold])))


def _tokens(meters: Mapping[str, int]) -> int:
    return sum(n for name, n in meters.items() if find_meter(name).unit == "token")


def _meters(mark: Any) -> Mapping[str, int] | None:
    """Return the meters of a mark. Django's connection returns JSON as text."""
    meters: Mapping[str, int] | None = json.loads(mark) if isinstance(mark, str) else mark
    return meters
