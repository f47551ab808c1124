"""Wallets: what an organisation has, what is held, and the credit with which it begins."""

from typing import NamedTuple
from uuid import UUID

from accounts.models import Organisation
from billing.ledger import post
from billing.models import Account, AccountKind, Hold, HoldState
from billing.rules.posting import opening_credit


class Balance(NamedTuple):
    """An organisation's money, each from the cached balance of one account (I3)."""

    available_nano: int
    held_nano: int
    debt_nano: int


def balance(organisation: Organisation | UUID) -> Balance:
    """The organisation's balance; zeros before its wallet has moved for the first time."""
    rows = dict(
        Account.objects.filter(organisation=organisation).values_list("kind", "balance_nano")
    )
    return Balance(
        rows.get(AccountKind.AVAILABLE, 0),
        rows.get(AccountKind.HELD, 0),
        # The books see money from the customer's side: what is owed stands below 0.
        -rows.get(AccountKind.DEBT, 0),
    )


def open_holds(organisation: Organisation | UUID) -> int:
    """How many attempts hold money of the organisation now."""
    return Hold.objects.filter(organisation=organisation, state=HoldState.OPEN).count()


def add_opening_credit(organisation: Organisation, amount_nano: int, *, actor: str = "") -> bool:
    """Post the credit with which an organisation begins; once for each organisation.

    False when this very credit was posted before. Raises ledger.PostingConflict for another
    amount: an opening is corrected by an adjustment, not by a second opening.
    """
    return post(opening_credit(organisation.id, amount_nano), actor=actor)
