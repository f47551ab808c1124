"""What moved in the ledger in a span of time."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from django.db import connection

from billing.ledger.ledger import balances_of
from billing.ledger.posting import AccountKind
from billing.periods.period_starts import Span
from lib.ids import first_id_at

Movement = Sequence[list[Any]]
# Ids use the processes' clocks, times the database's clock; they differ by less than an hour.
_SLACK: Final = dt.timedelta(hours=1)
# What these accounts of an organisation add up to is what was charged, without what grants and
# plans paid: grants and their expiry, which move money between these accounts and the balance, add
# up to 0 here.
_CHARGE_KINDS: Final[frozenset[AccountKind]] = frozenset((
    "revenue", "subscription:fees", "included:units",
    "promo:issued", "included:issued", "promo:available",
))  # fmt: skip


def movement_of(organisation_id: Any, span: Span) -> Movement:
    """Return the ledger's movements in the span, sorted: [kind of posting, kind of account, number
    of postings, nano]."""
    with connection.cursor() as cursor:
        cursor.execute(
            _MOVEMENT,
            {
                "organisation": organisation_id,
                "from": span.start_at,
                "until": span.end_at,
                "first_id": first_id_at(span.start_at - _SLACK),
                "until_id": first_id_at(span.end_at + _SLACK),
            },
        )
        rows = cursor.fetchall()
    return sorted([kind, account, int(n), int(nano)] for kind, account, n, nano in rows)


def moved_nano(movement: Movement, kinds: Sequence[str], account: str) -> int:
    """Return the amount that postings of these kinds moved to an account, in nano."""
    return sum(nano for kind, to, _, nano in movement if kind in kinds and to == account)


def charged_nano(organisation_id: UUID, without: Movement = ()) -> int:
    """Return all that was ever charged to the organisation, without these movements."""
    balances = balances_of(organisation_id)
    moved: int = sum(nano for _, kind, _, nano in without if kind in _CHARGE_KINDS)
    return sum(balances.get(kind, 0) for kind in _CHARGE_KINDS) - moved


_MOVEMENT: Final = """
    SELECT posting.kind, account.kind, count(DISTINCT posting.id), sum(entry.amount_nano)::bigint
    FROM billing_posting posting
    JOIN billing_ledgerentry entry ON entry.posting_id = posting.id
    JOIN billing_account account ON account.id = entry.account_id
    WHERE posting.organisation_id = %(organisation)s
    AND posting.created_at >= %(from)s AND posting.created_at < %(until)s
    AND posting.id >= %(first_id)s AND posting.id < %(until_id)s
    GROUP BY 1, 2"""
