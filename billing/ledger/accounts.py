"""The statements for accounts of organisations: lock them, which comes before anything else (I23),
open them, and read their balances."""

from collections.abc import Iterable
from uuid import UUID

from billing.ledger.sql_statement import Statement, array
from lib.ids import id_array

WALLET_KINDS = (
    "customer:available", "customer:held", "revenue", "provider:payable", "provider:cost",
)  # fmt: skip
"""The accounts that every request posts to: an organisation has all of them or none."""

LOCKED_KIND = "customer:available"
"""The account whose row is locked for all accounts of an organisation. Opening any account opens
it."""

LOSS_KINDS = ("platform:loss", "provider:payable")


def lock_accounts(organisation_ids: Iterable[UUID]) -> Statement:
    """Lock the accounts of these organisations until the transaction ends, in the order of ids.
    Only the row of the available balance is locked, for all accounts of an organisation: writers of
    other accounts lock it first. Locking more rows would write more log."""
    ids = {id.int: id for id in organisation_ids}.values()
    if len(ids) == 1:
        # `str` of a UUID would be a call.
        return _LOCK_ACCOUNT, {"organisation": f"{next(iter(ids)).int:032x}"}
    return _LOCK_ACCOUNTS, {"organisations": id_array(ids)}


def open_accounts(organisation_ids: Iterable[UUID], kinds: Iterable[str]) -> Statement:
    """Create the missing accounts of these kinds."""
    return _OPEN_ACCOUNTS, {
        "organisations": id_array(set(organisation_ids)),
        "kinds": array(kinds),
    }


def read_balances(organisation_id: UUID) -> Statement:
    """Select an organisation's accounts: (kind, balance_nano, overdraft_nano)."""
    return _READ_BALANCES, {"organisation": organisation_id}


def wallets_in_debt(limit: int) -> Statement:
    """Select organisations that have both debt and available money: (organisation_id,)."""
    return _IN_DEBT, {"limit": limit}


_LOCK_ACCOUNTS = """
    SELECT id FROM billing_account
    WHERE organisation_id = ANY (%(organisations)s::uuid[]) AND kind = 'customer:available'
    ORDER BY id FOR NO KEY UPDATE"""

_LOCK_ACCOUNT = """
    SELECT id FROM billing_account
    WHERE organisation_id = %(organisation)s::uuid AND kind = 'customer:available'
    FOR NO KEY UPDATE"""

_OPEN_ACCOUNTS = """
    INSERT INTO billing_account (organisation_id, kind, currency, balance_nano)
    SELECT o.id, kind, o.currency, 0
    FROM accounts_organisation o, unnest(%(kinds)s::text[]) AS kind
    WHERE o.id = ANY (%(organisations)s::uuid[])
    ORDER BY o.id, kind
    ON CONFLICT DO NOTHING"""

_READ_BALANCES = """
    SELECT kind, balance_nano, overdraft_nano FROM billing_account
    WHERE organisation_id = %(organisation)s"""

_IN_DEBT = """
    SELECT debt.organisation_id FROM billing_account debt
    JOIN billing_account available USING (organisation_id)
    WHERE debt.kind = 'customer:debt' AND debt.balance_nano < 0
    AND available.kind = 'customer:available' AND available.balance_nano > 0
    LIMIT %(limit)s"""
