"""Wallets: the balance, the open holds, the opening credit, and the settings for low balances."""

from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery, Sum

from accounts.models import Organisation
from billing.ledger.ledger import post
from billing.ledger.posting import opening_credit, opening_debt
from billing.models import Account, AccountKind, Hold, HoldState, WalletSetting


class Balance(NamedTuple):
    """An organisation's money. Each amount is the cached balance of one account (I3)."""

    available_nano: int
    held_nano: int
    debt_nano: int

    @property
    def free_nano(self) -> int:
        """Return the available amount less the debt, which no request may hold (I12). Below 0 in
        debt."""
        return self.available_nano - self.debt_nano


def balance(organisation: Organisation | UUID) -> Balance:
    """Return the organisation's balance; zeros before its first posting."""
    rows = dict(
        Account.objects.filter(organisation=organisation).values_list("kind", "balance_nano")
    )
    return Balance(
        rows.get(AccountKind.AVAILABLE, 0),
        rows.get(AccountKind.HELD, 0),
        # The books are from the customer's side, so debt is below 0 on its account.
        -rows.get(AccountKind.DEBT, 0),
    )


def open_holds(organisation: Organisation | UUID) -> int:
    """Return how many attempts hold money of the organisation now."""
    return Hold.objects.filter(organisation=organisation, state=HoldState.OPEN).count()


def add_opening_credit(organisation: Organisation, amount_nano: int, *, actor: str = "") -> bool:
    """Post the organisation's opening credit; once per organisation.

    Returns False if the same credit was posted before. Raises ledger.PostingConflict for another
    amount: correct an opening by an adjustment, not by a second opening.
    """
    return post(opening_credit(organisation.id, amount_nano), actor=actor)


def open_balance(organisation: Organisation, amount_nano: int, *, actor: str = "") -> bool:
    """Post an opening balance from another system, below 0 as a debt. Returns and raises as
    `add_opening_credit`."""
    if amount_nano < 0:
        return post(opening_debt(organisation.id, -amount_nano), actor=actor)
    return add_opening_credit(organisation, amount_nano, actor=actor)


def wallet_setting(organisation: Organisation) -> WalletSetting:
    """Return the organisation's settings, or the defaults."""
    setting = WalletSetting.objects.filter(organisation=organisation).first()
    return setting or WalletSetting(organisation=organisation)


def locked_setting(organisation: Organisation) -> WalletSetting:
    """Lock and return the organisation's settings. Creates them if missing."""
    WalletSetting.objects.get_or_create(organisation=organisation)
    return WalletSetting.objects.select_for_update().get(organisation=organisation)


def watched_settings() -> QuerySet[Any]:
    """Return the settings of active organisations, annotated with `available`, the organisation's
    available amount minus its debt (I12), and `unspent`, which also includes what running requests
    reserve; None before the first posting."""
    active = WalletSetting.objects.filter(
        organisation__archived_at=None, organisation__suspended_at=None
    )
    spendable = (AccountKind.AVAILABLE, AccountKind.DEBT)
    return active.annotate(
        available=_total(*spendable), unspent=_total(*spendable, AccountKind.HELD)
    )


def _total(*kinds: AccountKind) -> Subquery:
    accounts = Account.objects.filter(organisation=OuterRef("organisation"), kind__in=kinds)
    totals = accounts.values("organisation").annotate(nano=Sum("balance_nano"))
    return Subquery(totals.values("nano"))
