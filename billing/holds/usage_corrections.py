"""Late usage: facts about an attempt that arrive after its hold was resolved (I7).

Each source is posted once. The posting moves the books from their present state to the right one:
how much the customer has paid, and how much of the provider's count the platform has borne.
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
    """The customer's and the platform's parts of an attempt's cost, and the amount owed to its
    provider, in nano."""

    customer_nano: int
    platform_nano: int
    owed_nano: int


def lock_wallet(organisation_id: UUID) -> None:
    """Lock the accounts for a transaction that corrects attempts of this organisation."""
    open_and_lock([organisation_id], _KINDS)


def read_borne_cost(attempt_id: UUID) -> Borne:
    """Return who has paid what for an attempt until now, according to the ledger."""
    moved: dict[str, int] = dict(execute(read_movements(attempt_id)))
    return Borne(
        moved.get("revenue", 0), -moved.get("platform:loss", 0), moved.get("provider:payable", 0)
    )


def release_kept(attempt_id: UUID, organisation_id: UUID) -> None:
    """Return a kept hold's money to the wallet, in the transaction that `lock_wallet` began. Does
    nothing if the hold is not kept."""
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
    own_change_nano: int = 0,
) -> None:
    """Correct the books of an attempt from `stand` to `wanted`, in the transaction that
    `lock_wallet` began.

    The customer's budgets are corrected too, even above their cap (I12). They also count
    `own_change_nano` more (below 0: less) that the organisation pays its provider itself. A
    correction that was posted before moves nothing; one of `own_change_nano` alone is in no
    posting, so whoever has it marks it as posted first (`usage/late_usage`). Raises PostingConflict
    if the same source has reported something else before (I8).
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
    with transaction.atomic():
        if posting is not None and not post(posting, actor=actor, cause=cause):
            return  # This correction was made before, and the budgets followed it.
        if counted_nano := charge_nano + own_change_nano:
            execute(correct_windows({attempt_id: counted_nano}))


def _back_to_units(attempt_id: UUID, stand: Borne, charge_nano: int) -> int:
    """Return the part of a refund (a charge below 0) that goes back to included units: everything
    above what the balance paid."""
    if charge_nano >= 0:
        return 0
    moved: dict[str, int] = dict(execute(read_movements(attempt_id)))
    balance_nano = stand.customer_nano + moved.get("included:units", 0)
    return max(-charge_nano - balance_nano, 0)


def _available(organisation_id: UUID) -> int:
    rows = execute(read_balances(organisation_id))
    return sum(nano + line for kind, nano, line in rows if kind == "customer:available")
