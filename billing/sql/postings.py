"""A posting and its lines, for what is no batch of holds."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from billing.sql.sql_statement import Statement, array
from lib.ids import id_array


class NewEntry(NamedTuple):
    """One line of a posting, by the kind of the account."""

    organisation_id: UUID
    account_kind: str
    amount_nano: int


def insert_posting(
    posting_id: UUID, idempotency_id: str, kind: str, organisation_id: UUID, cause: str, actor: str
) -> Statement:
    """Write a posting's head; no row comes back when its idempotency id is taken (I8).

    `cause` is JSON text.
    """
    return _INSERT_POSTING, {
        "id": posting_id,
        "idempotency_id": idempotency_id,
        "kind": kind,
        "organisation": organisation_id,
        "cause": cause,
        "actor": actor,
    }


def insert_entries(posting_id: UUID, entries: Sequence[NewEntry]) -> Statement:
    """Write a posting's lines and move the cached balances by them (I3).

    Run `open_accounts` and `lock_accounts` before it in the same transaction.
    """
    organisations, kinds, amounts = zip(*entries, strict=True)
    return _INSERT_ENTRIES, {
        "posting": posting_id,
        "organisations": id_array(organisations),
        "kinds": array(kinds),
        "amounts": array(amounts),
    }


def read_posting(idempotency_id: str) -> Statement:
    """A posting's lines: (kind, organisation_id, account_kind, amount_nano), sorted."""
    return _READ_POSTING, {"idempotency_id": idempotency_id}


ENTER_LINES = """entered AS (
        INSERT INTO billing_ledgerentry (posting_id, account_id, amount_nano)
        SELECT posting_id, account_id, amount_nano FROM line
    ),
    moved AS (
        UPDATE billing_account account
        SET balance_nano = account.balance_nano + total.amount_nano
        FROM (
            SELECT account_id, sum(amount_nano)::bigint AS amount_nano FROM line GROUP BY account_id
        ) total
        WHERE account.id = total.account_id
    )"""
"""What writes each `line` (posting_id, account_id, amount_nano) of a statement: its entry, and the
balance of its account moved by it (I3)."""

_INSERT_POSTING = """
    INSERT INTO billing_posting (id, idempotency_id, kind, organisation_id, cause, actor)
    VALUES (%(id)s, %(idempotency_id)s, %(kind)s, %(organisation)s, %(cause)s::jsonb, %(actor)s)
    ON CONFLICT (idempotency_id) DO NOTHING RETURNING id"""

_INSERT_ENTRIES = f"""
    WITH line AS (
        SELECT %(posting)s::uuid AS posting_id, account.id AS account_id, t.amount_nano
        FROM unnest(%(organisations)s::uuid[], %(kinds)s::text[], %(amounts)s::bigint[])
            AS t (organisation_id, kind, amount_nano)
        JOIN billing_account account USING (organisation_id, kind)
    ),
    {ENTER_LINES}
    SELECT 1"""  # noqa: S608 - only constants are put in

_READ_POSTING = """
    SELECT posting.kind, account.organisation_id, account.kind, entry.amount_nano
    FROM billing_posting posting
    JOIN billing_ledgerentry entry ON entry.posting_id = posting.id
    JOIN billing_account account ON account.id = entry.account_id
    WHERE posting.idempotency_id = %(idempotency_id)s
    ORDER BY account.organisation_id, account.kind, entry.amount_nano"""
