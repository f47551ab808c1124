"""Statements for an organisation's charges and holds since an instant of the database's clock."""

import datetime as dt
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from billing.ledger.sql_statement import Statement
from lib.ids import first_id_at

# Ids use the processes' clocks, times the database's clock; they differ by less than an hour.
_SLACK: Final = dt.timedelta(hours=1)


def database_time() -> Statement:
    """Select (instant,): the current time of the database, the only clock for money."""
    return _DATABASE_TIME, {}


def next_entry() -> Statement:
    """Select (id,): the next id of the ledger's entries, which no entry will have.

    Under the lock of an organisation's accounts, all its earlier entries have lower ids and all
    later entries higher ids.
    """
    return _NEXT_ENTRY, {}


def spent_since(
    organisation_id: UUID, entry_id: int, at: dt.datetime | None, edges: Sequence[str]
) -> Statement:
    """Select the charges after a ledger entry, without what included units paid: (step,
    spent_nano), where step is the number of instants in `edges` (ISO 8601) at or before the
    admission. `at` is the time when that entry was the newest, None if unknown. Run `lock_accounts`
    before it in the same transaction."""
    return _SPENT_SINCE, {
        "organisation": organisation_id,
        "entry": entry_id,
        "first": UUID(int=0) if at is None else first_id_at(at - _SLACK),
        "edges": "{" + ",".join(f'"{edge}"' for edge in edges) + "}",
    }


def paid_by_included(organisation_id: UUID, attempt_id: UUID) -> Statement:
    """Select (nano,): the part of an attempt's charge that included units have paid."""
    return _PAID_BY_INCLUDED, {"organisation": organisation_id, "attempt": attempt_id}


def charged_between(
    organisation_id: UUID, from_entry: int, entry_id: int, since: dt.datetime | None
) -> Statement:
    """Select (nano,): the charges between two ledger entries, without what included units paid.
    `since` is the time when the first entry was the newest, None if unknown."""
    return _CHARGED_BETWEEN, {
        "organisation": organisation_id,
        "from": from_entry,
        "entry": entry_id,
        "first": UUID(int=0) if since is None else first_id_at(since - _SLACK),
    }


def held_since_before(organisation_id: UUID, instant: str) -> Statement:
    """Select (sum,): the unresolved holds that were placed before an instant (ISO 8601)."""
    return _HELD_SINCE_BEFORE, {"organisation": organisation_id, "instant": instant}


_DATABASE_TIME = "SELECT statement_timestamp()"

_NEXT_ENTRY = "SELECT nextval('billing_ledgerentry_id_seq')"

# The hold is looked up for each entry: under row-level security, a join by a part of a text uses no
# index (docs/adr/0013).
_SPENT_SINCE = """
    SELECT step, sum(amount_nano)::bigint FROM (
        SELECT entry.amount_nano, (
            SELECT count(*) FROM unnest(%(edges)s::timestamptz[]) AS edge
            WHERE edge <= coalesce((
                SELECT hold.opened_at FROM billing_hold hold
                WHERE hold.id = coalesce(
                    posting.attempt_id, CASE WHEN posting.kind IN ('settle', 'expire')
                    THEN split_part(posting.idempotency_id, ':', 2)::uuid END)
            ), posting.created_at)
        ) AS step
        FROM billing_ledgerentry entry
        JOIN billing_posting posting ON posting.id = entry.posting_id
        WHERE posting.organisation_id = %(organisation)s AND posting.id >= %(first)s
        AND entry.id > %(entry)s AND entry.account_id = ANY (ARRAY(
            SELECT id FROM billing_account
            WHERE organisation_id = %(organisation)s AND kind IN ('revenue', 'included:units')))
    ) spent
    GROUP BY step"""

_CHARGED_BETWEEN = """
    SELECT coalesce(sum(entry.amount_nano), 0)::bigint
    FROM billing_posting posting
    JOIN billing_ledgerentry entry ON entry.posting_id = posting.id
    WHERE posting.organisation_id = %(organisation)s AND posting.id >= %(first)s
    AND entry.id > %(from)s AND entry.id < %(entry)s AND entry.account_id = ANY (ARRAY(
        SELECT id FROM billing_account
        WHERE organisation_id = %(organisation)s AND kind IN ('revenue', 'included:units')))"""

_PAID_BY_INCLUDED = """
    SELECT -coalesce(sum(entry.amount_nano), 0)::bigint
    FROM billing_posting posting
    JOIN billing_ledgerentry entry ON entry.posting_id = posting.id
    WHERE posting.attempt_id = %(attempt)s AND entry.account_id = (
        SELECT id FROM billing_account
        WHERE organisation_id = %(organisation)s AND kind = 'included:units')"""

_HELD_SINCE_BEFORE = """
    SELECT coalesce(sum(amount_nano), 0)::bigint FROM billing_hold
    WHERE organisation_id = %(organisation)s
    -- Each by its own index: a list of both is looked for in every hold there ever was.
    AND (state = 'open' OR state = 'kept')
    AND opened_at < %(instant)s::timestamptz"""
