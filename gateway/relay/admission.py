"""Admission: a request is let through by a transaction that holds its worst-case price.

The database decides (key still valid, money there) and writes (hold, posting, attempt) in one
statement set for everything that arrived while the last commit was in flight (I5, P2).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from billing import sql as money
from gateway.relay.database import Row, Statement
from gateway.relay.settlement import Resolved
from lib.ids import new_ids
from usage import sql as usage

_CUSTOMER_ACCOUNTS = ("customer:available", "customer:held", "revenue")


class Asked(NamedTuple):
    """An attempt that wants its hold. `replaces` is the failed attempt before it, whose hold is
    released in the same transaction, so that failing over needs no second balance."""

    attempt: usage.AttemptOpened
    ttl_seconds: int
    replaces: Resolved | None


class Verdict(NamedTuple):
    """`word` is admitted | key_gone | insufficient | no_wallet (nobody opened its accounts yet);
    `available_nano` is what the wallet has after this transaction."""

    word: str
    available_nano: int


def statements(batch: Sequence[Asked]) -> list[Statement]:
    """What decides on a batch, to be run after the accounts are locked; the first gives a row for
    each, in their order."""
    holds = [
        money.HoldAsked(
            asked.attempt.id,
            posting_id,
            asked.attempt.organisation_id,
            asked.attempt.key_id,
            asked.attempt.hold_nano,
            asked.ttl_seconds,
        )
        for asked, posting_id in zip(batch, new_ids(len(batch)), strict=True)
    ]
    return [money.place_holds(holds), usage.open_attempts([asked.attempt for asked in batch])]


def verdicts(rows: Iterable[Row]) -> list[Verdict]:
    """The verdicts that the first of `statements` gave."""
    return [Verdict(word or "", int(available or 0)) for word, available in rows]


def read_available(organisation_id: UUID) -> Statement:
    """One row: what could be held now, in nano; none where no money ever moved."""
    return money.read_available(organisation_id)


def open_wallets(organisation_ids: Iterable[UUID]) -> Statement:
    """Make the accounts of organisations that never moved money."""
    return money.open_accounts(organisation_ids, _CUSTOMER_ACCOUNTS)
