"""Wallets: what an organisation has, what is held, the credit with which it begins, and from which
balance on something is done."""

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
    """An organisation's money, each from the cached balance of one account (I3)."""

    available_nano: int
    held_nano: int
    debt_nano: int

    @property
    def free_nano(self) -> int:
        """What is available beside the debt, which no request may hold (I12); below 0 in debt."""
        return self.available_nano - self.debt_nano


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
    """Return how many attempts hold money of the organisation now."""
    return Hold.objects.filter(organisation=organisation, state=HoldState.OPEN).count()


def add_opening_credit(organisation: Organisation, amount_nano: int, *, actor: str = "") -> bool:
    """Post the credit with which an organisation begins; once for each organisation.

    False when this very credit was posted before. Raises ledger.PostingConflict for another
    amount: an opening is corrected by an adjustment, not by a second opening.
    """
    return post(opening_credit(organisation.id, amount_nano), actor=actor)


def open_balance(organisation: Organisation, amount_nano: int, *, actor: str = "") -> bool:
    """The same with what an organisation has elsewhere already: below 0 it begins with a debt."""
    if amount_nano < 0:
        return post(opening_debt(organisation.id, -amount_nano), actor=actor)
    return add_opening_credit(organisation, amount_nano, actor=actor)


def credit_line(organisation: Organisation | UUID) -> int:
    """Return how far the organisation's balance may fall below 0: more than 0 for one that pays
    later."""
    account = Account.objects.filter(organisation=organisation, kind=AccountKind.AVAILABLE).first()
    return 0 if account is None else account.overdraft_nano


def set_credit_line(organisation: Organisation, line_nano: int, *, actor: Actor) -> None:
    """Let the organisation pay later, up to so much (I4); 0 ends it.

    What it has used beyond is debt from then on, and is held by no new request (I12).
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
    """The organisation's settings, the defaults before it made any."""
    setting = WalletSetting.objects.filter(organisation=organisation).first()
    return setting or WalletSetting(organisation=organisation)


def locked_setting(organisation: Organisation) -> WalletSetting:
    """The settings to change, until the transaction ends."""
    WalletSetting.objects.get_or_create(organisation=organisation)
    return WalletSetting.objects.select_for_update().get(organisation=organisation)


def watched_settings() -> QuerySet[Any]:
    """Settings with what is `available` to their organisation beside its debt (I12), None before
    its first money."""
    accounts = Account.objects.filter(
        organisation=OuterRef("organisation"), kind__in=(AccountKind.AVAILABLE, AccountKind.DEBT)
    )
    available = accounts.values("organisation").annotate(nano=Sum("balance_nano"))
    return WalletSetting.objects.annotate(available=Subquery(available.values("nano")))
