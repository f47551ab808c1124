"""Pay debt as soon as money is available. Money that a hold releases pays debt before it can be
spent."""

from uuid import UUID

from django.db import transaction

from billing.credits.promo import count_spending
from billing.ledger.accounts import wallets_in_debt
from billing.ledger.funding import repay
from billing.ledger.ledger import execute, lock_wallet, post
from lib.database.tenancy import use_tenant
from lib.ids import new_id


def repay_debts(limit: int) -> int:
    """Pay the debts of up to `limit` organisations that have available money. Return how many."""
    paid = 0
    for (organisation_id,) in execute(wallets_in_debt(limit)):
        if isinstance(organisation_id, UUID):
            with use_tenant(organisation_id):
                paid += _repay(organisation_id)
    return paid


def _repay(organisation_id: UUID) -> bool:
    with transaction.atomic():
        # Promotional credit pays no debt, so its exact remainder must be known first.
        count_spending(organisation_id)
        posting = repay(new_id(), lock_wallet(organisation_id))
        return posting is not None and post(posting)
