"""The only writer of postings outside the relay. It uses the same statements as the relay."""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from billing.ledger.accounts import (
    LOCKED_KIND,
    WALLET_KINDS,
    lock_accounts,
    open_accounts,
    read_balances,
)
from billing.ledger.funding import Wallet
from billing.ledger.posting import Posting
from billing.ledger.sql import NewEntry, insert_posting, read_posting
from billing.ledger.sql_statement import Statement
from lib.ids import new_id

Row = tuple[Any, ...]


class PostingConflict(Exception):
    """A posting with this idempotency id has other content (I8). This is a bug; do not retry."""


def post(posting: Posting, *, actor: str = "", cause: Mapping[str, object] | None = None) -> bool:
    """Write a posting and change the balances, in a transaction.

    Returns False if the same posting already exists; then nothing moves. Raises PostingConflict for
    the same idempotency id with other content, and IntegrityError if a customer's account would
    fall below zero (I4).
    """
    organisations = {entry.organisation_id for entry in posting.entries}
    owner = posting.entries[0].organisation_id
    posting_id = new_id()
    with transaction.atomic():
        kinds = {LOCKED_KIND, *(entry.account_kind for entry in posting.entries)}
        open_and_lock(organisations, kinds)
        written = insert_posting(
            posting_id=posting_id,
            idempotency_id=posting.idempotency_id,
            kind=posting.kind,
            organisation_id=owner,
            cause=json.dumps(dict(cause or {})),
            actor=actor,
            entries=[
                NewEntry(entry.organisation_id, entry.account_kind, entry.amount_nano)
                for entry in posting.entries
            ],
        )
        if not execute(written):
            _compare(posting)
            return False
    return True


def open_and_lock(organisation_ids: Collection[UUID], kinds: Iterable[str]) -> None:
    """Create the missing accounts of these kinds, then lock the organisations' accounts until the
    transaction ends."""
    execute(open_accounts(organisation_ids, kinds))
    execute(lock_accounts(organisation_ids))


def lock_wallet(organisation_id: UUID) -> Wallet:
    """Lock the organisation's accounts until the transaction ends. Return their balances, which no
    other transaction changes until then."""
    open_and_lock([organisation_id], WALLET_KINDS)
    balances: dict[str, int] = {}
    line_nano = 0
    for kind, nano, overdraft_nano in execute(read_balances(organisation_id)):
        balances[kind] = nano
        line_nano += overdraft_nano
    return Wallet(
        organisation_id,
        balances.get("customer:available", 0),
        max(-balances.get("customer:debt", 0), 0),
        balances.get("promo:available", 0),
        line_nano,
        held_nano=balances.get("customer:held", 0),
    )


def balances_of(organisation_id: UUID) -> dict[str, int]:
    """Return the balances of the organisation's accounts in nano, by kind."""
    return {kind: nano for kind, nano, _ in execute(read_balances(organisation_id))}


def execute(statement: Statement) -> list[Row]:
    """Run one statement on Django's connection. Return its rows; [] if it returns none."""
    text, parameters = statement
    with connection.cursor() as cursor:
        cursor.execute(text, parameters)
        return cursor.fetchall() if cursor.description else []


def _compare(posting: Posting) -> None:
    """Raise PostingConflict if the idempotency id belongs to a posting with other content (I8)."""
    rows = execute(read_posting(posting.idempotency_id))
    wanted = sorted(
        (posting.kind, entry.organisation_id, entry.account_kind, entry.amount_nano)
        for entry in posting.entries
    )
    if sorted(rows) != wanted:
        raise PostingConflict(f"{posting.idempotency_id} stands for another posting")
