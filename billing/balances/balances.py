"""Wallets: the balance, the open holds, the opening credit, the credit line, and the settings for
low balances."""

from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery, Sum

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from accounts.models import Organisation
from billing.currency.money import format_usd
from billing.ledger.funding import cut_line
from billing.ledger.ledger import lock_wallet, post
from billing.ledger.posting import opening_credit, opening_debt
from billing.models import Account, AccountKind, Hold, HoldState, WalletSetting
from lib.ids import new_id


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


def credit_line(organisation: Organisation | UUID) -> int:
    """Return how far the organisation's balance may fall below 0: above 0 for an organisation that
    pays later."""
    account = Account.objects.filter(organisation=organisation, kind=AccountKind.AVAILABLE).first()
    return 0 if account is None else account.overdraft_nano


def set_credit_line(organisation: Organisation, line_nano: int, *, actor: Actor) -> None:
    """Let the organisation pay later, up to `line_nano` (I4); 0 ends it.

    Use beyond a lowered line becomes debt, which no new request may hold (I12).
    """
    with transaction.atomic():
        wallet = lock_wallet(organisation.id)
        if wallet.line_nano == line_nano:
            return
        posting = cut_line(new_id(), line_nano, wallet)
        if posting is not None:
            post(posting)
        account = Account.objects.get(organisation=organisation, kind=AccountKind.AVAILABLE)
        account.overdraft_nano = line_nano
        account.save(update_fields=["overdraft_nano"])
        audit.record(
            actor, organisation, "organisation.credit_line_changed", account,
            before={"credit_line": format_usd(wallet.line_nano)},
            after={"credit_line": format_usd(line_nano)},
        )  # fmt: skip
        bump_epoch()


def wallet_setting(organisation: Organisation) -> WalletSetting:
    """Return the organisation's settings, or the defaults."""
    setting = WalletSetting.objects.filter(organisation=organisation).first()
    return setting or WalletSetting(organisation=organisation)


def locked_setting(organisation: Organisation) -> WalletSetting:
    """Lock and return the organisation's settings. Creates them if missing."""
    WalletSetting.objects.get_or_create(organisation=organisation)
    return WalletSetting.objects.select_for_update().get(organisation=organisation)


def watched_settings() -> QuerySet[Any]:
    """Return settings annotated with `available`, the organisation's available amount minus its
    debt (I12); None before the first posting."""
    accounts = Account.objects.filter(
        organisation=OuterRef("organisation"), kind__in=(AccountKind.AVAILABLE, AccountKind.DEBT)
    )
    available = accounts.values("organisation").annotate(nano=Sum("balance_nano"))
    return WalletSetting.objects.annotate(available=Subquery(available.values("nano")))
