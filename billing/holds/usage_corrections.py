"""Late usage: what is learnt of an attempt after its hold was resolved (I7).

It is posted once for each of its sources, and leads the books from what they say to what they
should: the customer has paid so much, the platform has borne the rest of what the provider counted.
"""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from django.db import transaction

from billing.holds.resolve_holds import HoldResolved, read_movements, reopen_hold, resolve_holds
from billing.ledger.accounts import WALLET_KINDS, read_balances
from billing.ledger.ledger import execute, open_and_lock, post
from billing.ledger.posting import adjust_attempt
from billing.limits.budget_windows import correct_windows
from lib.id_types import AttemptId, OrganisationId
from lib.ids import new_id

_KINDS = (*WALLET_KINDS, "customer:debt", "platform:loss")


class Borne(NamedTuple):
    """Who pays what of an attempt, and what of it we owe its provider, in nano."""

    customer_nano: int
    platform_nano: int
    owed_nano: int


def lock_wallet(organisation_id: UUID) -> None:
    """Begin a transaction that corrects attempts of this organisation."""
    open_and_lock([organisation_id], _KINDS)


def read_borne_cost(attempt_id: UUID) -> Borne:
    """Who has paid what of an attempt so far, by the ledger."""
    moved: dict[str, int] = dict(execute(read_movements(attempt_id)))
    return Borne(
        moved.get("revenue", 0), -moved.get("platform:loss", 0), moved.get("provider:payable", 0)
    )


def release_kept(attempt_id: UUID, organisation_id: UUID) -> None:
    """Give what a kept hold holds back to its wallet, in the transaction that `lock_wallet` began;
    nothing where the hold is not kept."""
    if execute(reopen_hold(attempt_id)):
        settled = HoldResolved(
            attempt_id=AttemptId(attempt_id),
            posting_id=new_id(),
            organisation_id=OrganisationId(organisation_id),
            state="settled",
            charge_nano=0,
        )
        execute(resolve_holds([settled]))


def correct(
    attempt_id: UUID,
    organisation_id: UUID,
    source: str,
    stand: Borne,
    wanted: Borne,
    cause: Mapping[str, object],
    *,
    actor: str = "",
) -> None:
    """Lead the books of an attempt from where they stand to `wanted`, in the transaction that
    `lock_wallet` began.

    The customer's budgets follow, whatever their cap says (I12). Raises PostingConflict when this
    source has said something else before (I8).
    """
    charge_nano = wanted.customer_nano - stand.customer_nano
    posting = adjust_attempt(
        attempt_id,
        organisation_id,
        source,
        charge_nano=charge_nano,
        loss_nano=wanted.platform_nano - stand.platform_nano,
        owed_nano=wanted.owed_nano - stand.owed_nano,
        included_nano=_back_to_units(attempt_id, stand, charge_nano),
        available_nano=_available(organisation_id),
    )
    if posting is None:
        return
    with transaction.atomic():
        post(posting, actor=actor, cause=cause)
        if charge_nano:
            execute(correct_windows({attempt_id: charge_nano}))


def _back_to_units(attempt_id: UUID, stand: Borne, charge_nano: int) -> int:
    """What of a refund (a charge below 0) included units had paid: all above what the balance
    did."""
    if charge_nano >= 0:
        return 0
    moved: dict[str, int] = dict(execute(read_movements(attempt_id)))
    balance_nano = stand.customer_nano + moved.get("included:units", 0)
    return max(-charge_nano - balance_nano, 0)


def _available(organisation_id: UUID) -> int:
    rows = execute(read_balances(organisation_id))
    return sum(nano + line for kind, nano, line in rows if kind == "customer:available")
