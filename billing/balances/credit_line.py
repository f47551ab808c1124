"""Credit lines: how far an organisation's balance may fall below 0, so that it pays later."""

from uuid import UUID

from django.db import transaction

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from accounts.models import Organisation
from billing.currency.money import format_usd
from billing.ledger.funding import cut_line
from billing.ledger.ledger import lock_wallet, post
from billing.models import Account, AccountKind
from lib.ids import new_id


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
