"""Postings: balanced movements of money, built here and written by the ledger.

A posting is two or more entries that sum to 0 (I1), with an idempotency id that says what it is.
Amounts are from the customer's side: above 0 puts money on an account, below 0 takes it off.
Customers' money is on `customer:*`, sales are on `revenue`, and opening credits were taken off
`equity:opening`. Each organisation has its own accounts of every kind, so that requests of
different organisations share no row.

The amount that we owe providers goes to `provider:payable` for every attempt that may have cost us
(I15). It is taken off `provider:cost` for sold usage, and off `platform:loss` for usage that a
provider may count and no customer pays (I13). A loss is valued at the price of the charge. An
attempt's cost is computed by its cost price, or without one by the price of the charge.

The batch writes the postings of a hold (`billing/ledger/hold_rules.py`). Late usage, which arrives
after the hold was resolved, has adjustments of its own (I7).
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple
from uuid import UUID

AccountKind = Literal[
    "customer:available",
    "customer:held",
    "customer:debt",
    "revenue",
    "equity:opening",
    "platform:loss",
    "provider:payable",
    "provider:cost",
    "equity:adjustment",
    "promo:issued",
    "promo:available",
    "promo:earmarked",
    "included:issued",
    "included:earmarked",
    "included:units",
    "subscription:fees",
    "processor:received:stripe",
    "processor:received:manual",
    "processor:clearing:stripe",
    "processor:clearing:manual",
    "tax:payable",
    "rounding",
]
PostingKind = Literal[
    "opening",
    "hold",
    "settle",
    "void",
    "expire",
    "correct",
    "adjust",
    "reverse",
    "redeem",
    "consume",
    "lapse",
    "repay",
    "topup",
    "receive",
    "refund",
    "dispute",
    "reinstate",
]


class PostingInvalid(ValueError):
    """The posting does not balance, or an amount makes no sense. This is a programming error."""


class Entry(NamedTuple):
    """One entry of a posting: an amount added to an account of an organisation (above 0), or taken
    from it (below 0)."""

    account_kind: AccountKind
    organisation_id: UUID
    amount_nano: int


@dataclass(frozen=True, slots=True)
class Posting:
    """Two or more entries that sum to 0. The idempotency id identifies the posting (I8)."""

    idempotency_id: str
    kind: PostingKind
    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        if len(self.entries) < 2:
            raise PostingInvalid(f"{self.idempotency_id}: a posting has two entries or more")
        if sum(entry.amount_nano for entry in self.entries) != 0:
            raise PostingInvalid(f"{self.idempotency_id}: entries do not sum to 0")


def opening_credit(organisation_id: UUID, amount_nano: int) -> Posting:
    """Build the posting of an organisation's opening credit; once per organisation."""
    if amount_nano <= 0:
        raise PostingInvalid(f"opening credit of {amount_nano} nano: expected more than 0")
    return Posting(
        f"opening:{organisation_id}",
        "opening",
        (
            Entry("equity:opening", organisation_id, -amount_nano),
            Entry("customer:available", organisation_id, amount_nano),
        ),
    )


def opening_debt(organisation_id: UUID, owed_nano: int) -> Posting:
    """Build the posting of an organisation's opening debt, the opposite of an opening credit."""
    if owed_nano <= 0:
        raise PostingInvalid(f"opening debt of {owed_nano} nano: expected more than 0")
    return Posting(
        f"opening:{organisation_id}",
        "opening",
        (
            Entry("equity:opening", organisation_id, owed_nano),
            Entry("customer:debt", organisation_id, -owed_nano),
        ),
    )


def adjust_attempt(
    attempt_id: UUID,
    organisation_id: UUID,
    source: str,
    *,
    charge_nano: int,
    loss_nano: int,
    owed_nano: int,
    available_nano: int,
    included_nano: int = 0,
) -> Posting | None:
    """Build the posting for late usage: more (below 0: less) for the customer to pay, for the
    platform to bear, and for us to owe the provider. Return None if nothing changes. The part that
    the customer cannot pay becomes debt (I12). Of a refund, `included_nano` was paid by included
    units and does not go to the balance. `source` distinguishes the adjustments of an attempt; each
    is posted once."""
    entries = []
    if charge_nano:
        own_nano = charge_nano + included_nano
        paid_nano = min(own_nano, max(available_nano, 0))
        entries.append(Entry("revenue", organisation_id, charge_nano))
        if paid_nano:
            entries.append(Entry("customer:available", organisation_id, -paid_nano))
        if paid_nano != own_nano:
            entries.append(Entry("customer:debt", organisation_id, paid_nano - own_nano))
        if included_nano:
            entries.append(Entry("included:units", organisation_id, included_nano))
    if loss_nano:
        entries.append(Entry("platform:loss", organisation_id, -loss_nano))
    if owed_nano:
        entries.append(Entry("provider:payable", organisation_id, owed_nano))
    if owed_nano != loss_nano:
        entries.append(Entry("provider:cost", organisation_id, loss_nano - owed_nano))
    if not entries:
        return None
    return Posting(f"adjust:{attempt_id}:{source}", "correct", tuple(entries))
