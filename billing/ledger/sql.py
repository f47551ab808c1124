"""Statements that write and read one posting with its lines, outside batches of holds."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from billing.ledger.sql_statement import Statement, array
from lib.ids import id_array


class NewEntry(NamedTuple):
    """One line of a posting. The account is given by its kind."""

    organisation_id: UUID
    account_kind: str
    amount_nano: int


def insert_posting(
    posting_id: UUID,
    idempotency_id: str,
    kind: str,
    organisation_id: UUID,
    cause: str,
    actor: str,
    entries: Sequence[NewEntry],
) -> Statement:
    """Write a posting with its entries and change the cached balances (I3). Returns no row if the
    idempotency id is taken; nothing moves then (I8).

    `cause` is JSON text. Run `open_accounts` and `lock_accounts` before it in the same transaction.
    """
    organisations, kinds, amounts = zip(*entries, strict=True)
    return _INSERT_POSTING, {
        "id": posting_id,
        "idempotency_id": idempotency_id,
        "kind": kind,
        "organisation": organisation_id,
        "cause": cause,
        "actor": actor,
        "organisations": id_array(organisations),
        "kinds": array(kinds),
        "amounts": array(amounts),
    }


def read_posting(idempotency_id: str) -> Statement:
    """Select a posting's lines, sorted: (kind, organisation_id, account_kind, amount_nano)."""
    return _READ_POSTING, {"idempotency_id": idempotency_id}


MOVE_BALANCES = """moved AS (
        UPDATE billing_account account
        SET balance_nano = account.balance_nano + total.amount_nano
        FROM (
            SELECT account_id, sum(amount_nano)::bigint AS amount_nano FROM move
            GROUP BY account_id HAVING sum(amount_nano) <> 0
        ) total
        WHERE account.id = total.account_id
    )"""
"""SQL that changes account balances by the rows of a statement's `move` (account_id,
amount_nano)."""

_INSERT_POSTING = f"""
    WITH line AS (
        SELECT account.id AS account_id, t.amount_nano, t.place
        FROM unnest(%(organisations)s::uuid[], %(kinds)s::text[], %(amounts)s::bigint[])
            WITH ORDINALITY AS t (organisation_id, kind, amount_nano, place)
        JOIN billing_account account USING (organisation_id, kind)
    ),
    posted AS (
        INSERT INTO billing_posting (
            id, idempotency_id, kind, organisation_id, cause, actor, account_ids, amounts_nano)
        SELECT %(id)s::uuid, %(idempotency_id)s, %(kind)s, %(organisation)s::uuid,
               %(cause)s::jsonb, %(actor)s, array_agg(account_id ORDER BY place),
               array_agg(amount_nano ORDER BY place)
        FROM line
        ON CONFLICT (idempotency_id) DO NOTHING RETURNING id
    ),
    move AS (SELECT line.account_id, line.amount_nano FROM line, posted),
    {MOVE_BALANCES}
    SELECT id FROM posted"""  # noqa: S608 - only constants are put in

_READ_POSTING = """
    SELECT posting.kind, account.organisation_id, account.kind, entry.amount_nano
    FROM billing_posting posting
    JOIN billing_ledgerentry entry ON entry.posting_id = posting.id
    JOIN billing_account account ON account.id = entry.account_id
    WHERE posting.idempotency_id = %(idempotency_id)s
    ORDER BY account.organisation_id, account.kind, entry.amount_nano"""
