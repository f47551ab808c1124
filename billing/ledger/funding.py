"""Postings of incoming and outgoing money: credits, codes, promo, payments, chargebacks.

Incoming money pays the debt first; the rest is available. Outgoing money is taken from the
available balance. The part that was already spent becomes debt, a balance below 0 on
`customer:debt` (I12).

The other side of each posting says where the installation has the money: `processor:received:<p>`
for payments to a processor, `equity:adjustment` for corrections, `promo:issued` for gifts.
`processor:clearing:<p>` keeps payments that no top-up explains, until an operator assigns them
(I24).

Promo is part of `customer:available`, and pays no debt. The unspent part is also on
`promo:available`, against `promo:earmarked`: these two accounts sum to 0 and move with each grant,
use and expiry (I20; ADR 9).

Usage that a subscription plan includes is such a grant, too. It has its own other sides,
`included:issued` and `included:earmarked`, so that the books separate sales from gifts. The plan's
own fee is posted to `subscription:fees`.
"""

from typing import Final, Literal, NamedTuple
from uuid import UUID

from billing.ledger.posting import AccountKind, Entry, Posting, PostingInvalid, PostingKind

Processor = Literal["stripe", "manual"]
Pool = Literal["promo", "included"]
"""The kind of a grant: promotional credit, or included usage of a subscription."""
_RECEIVED: Final[dict[Processor, AccountKind]] = {
    "stripe": "processor:received:stripe",
    "manual": "processor:received:manual",
}
_CLEARING: Final[dict[Processor, AccountKind]] = {
    "stripe": "processor:clearing:stripe",
    "manual": "processor:clearing:manual",
}
_ISSUED: Final[dict[Pool, AccountKind]] = {
    "promo": "promo:issued",
    "included": "included:issued",
}
_EARMARKED: Final[dict[Pool, AccountKind]] = {
    "promo": "promo:earmarked",
    "included": "included:earmarked",
}


class Wallet(NamedTuple):
    """The balances of an organisation's accounts, read under their lock. `owed_nano` is 0 or more;
    `promo_nano` is the granted part of `available_nano`; `line_nano` is how far `available_nano`
    may fall below 0. `held_nano` is held for requests that have not ended."""

    organisation_id: UUID
    available_nano: int
    owed_nano: int
    promo_nano: int
    line_nano: int = 0
    held_nano: int = 0

    @property
    def cash_nano(self) -> int:
        """Return the amount that can pay for something other than usage now: cash and credit line,
        less grants and debt."""
        return self.available_nano - self.promo_nano - self.owed_nano + self.line_nano


def adjust(credit_id: UUID, amount_nano: int, wallet: Wallet) -> Posting:
    """Build the posting of an operator's correction: above 0 adds to the balance, below 0 takes
    off."""
    return _flow(f"adjust:{credit_id}", "adjust", "equity:adjustment", amount_nano, wallet)


def reverse(old: UUID, other_side: AccountKind, amount_nano: int, wallet: Wallet) -> Posting:
    """Build the posting that reverses `old`, which added `amount_nano` to the balance (I2)."""
    return _flow(f"reverse:{old}", "reverse", other_side, -amount_nano, wallet)


def close_invoice(
    invoice_id: UUID, corrected_nano: int, tax_nano: int, rounding_nano: int, wallet: Wallet
) -> Posting:
    """Build the posting of what a document adds to the charged usage: taxes, rounding, and a note's
    corrections (above 0: the customer pays more). At least one must not be 0."""
    owner = wallet.organisation_id
    parts: tuple[tuple[AccountKind, int], ...] = (
        ("equity:adjustment", corrected_nano),
        ("tax:payable", tax_nano),
        ("rounding", rounding_nano),
    )
    others = tuple(Entry(kind, owner, nano) for kind, nano in parts)
    return _transfer_entries(f"invoice:{invoice_id}", "adjust", others, wallet)


def subscription_fee(charge_id: UUID, amount_nano: int, wallet: Wallet) -> Posting:
    """Build the posting of a subscription plan's fee; below 0, the refund for unused days. Must not
    be 0."""
    return _flow(f"subscription:{charge_id}", "adjust", "subscription:fees", -amount_nano, wallet)


def top_up(processor: Processor, payment_id: str, amount_nano: int, wallet: Wallet) -> Posting:
    """Build the posting of a payment that matches a top-up; once per payment of the processor
    (I21)."""
    _refuse_not_positive(amount_nano)
    return _flow(
        f"pay:{processor}:{payment_id}",
        "topup",
        _RECEIVED[processor],
        amount_nano,
        wallet,
    )


def receive_unmatched(
    processor: Processor, payment_id: str, amount_nano: int, organisation_id: UUID
) -> Posting:
    """Build the posting of a payment that matches no top-up: the money goes to the clearing account
    (I24)."""
    _refuse_not_positive(amount_nano)
    return Posting(
        f"receive:{processor}:{payment_id}",
        "receive",
        (
            Entry(_RECEIVED[processor], organisation_id, -amount_nano),
            Entry(_CLEARING[processor], organisation_id, amount_nano),
        ),
    )


def return_unmatched(
    processor: Processor, payment_id: str, amount_nano: int, organisation_id: UUID
) -> Posting:
    """Build the posting for a payment without a top-up that went back to its payer."""
    _refuse_not_positive(amount_nano)
    return Posting(
        f"refund:{processor}:{payment_id}:{amount_nano}",
        "refund",
        (
            Entry(_CLEARING[processor], organisation_id, -amount_nano),
            Entry(_RECEIVED[processor], organisation_id, amount_nano),
        ),
    )


def refund(
    processor: Processor, payment_id: str, refunded_nano: int, total_nano: int, wallet: Wallet
) -> Posting:
    """Build the posting of a refund. `refunded_nano` went back to the payer now, `total_nano` of
    this payment in all.

    The idempotency id contains the total, because processors report totals, in any order and
    repeatedly.
    """
    _refuse_not_positive(refunded_nano)
    return _flow(
        f"refund:{processor}:{payment_id}:{total_nano}",
        "refund",
        _RECEIVED[processor],
        -refunded_nano,
        wallet,
    )


def dispute(processor: Processor, dispute_id: str, amount_nano: int, wallet: Wallet) -> Posting:
    """Build the posting for a payment that the bank took back. The part already spent becomes
    debt."""
    _refuse_not_positive(amount_nano)
    return _flow(
        f"dispute:{processor}:{dispute_id}",
        "dispute",
        _RECEIVED[processor],
        -amount_nano,
        wallet,
    )


def reinstate(processor: Processor, dispute_id: str, amount_nano: int, wallet: Wallet) -> Posting:
    """Build the posting for a won dispute: the payment is credited again."""
    _refuse_not_positive(amount_nano)
    return _flow(
        f"reinstate:{processor}:{dispute_id}",
        "reinstate",
        _RECEIVED[processor],
        amount_nano,
        wallet,
    )


def repay(posting_id: UUID, wallet: Wallet) -> Posting | None:
    """Build the posting that pays debt from available cash, without promo. Return None if there is
    nothing to pay."""
    amount_nano = min(wallet.owed_nano, wallet.available_nano - wallet.promo_nano)
    if amount_nano <= 0:
        return None
    return Posting(
        f"repay:{posting_id}",
        "repay",
        (
            Entry("customer:available", wallet.organisation_id, -amount_nano),
            Entry("customer:debt", wallet.organisation_id, amount_nano),
        ),
    )


def cut_line(posting_id: UUID, line_nano: int, wallet: Wallet) -> Posting | None:
    """Build the posting that turns what was used beyond a lowered credit line into debt; None if
    nothing was."""
    beyond_nano = -line_nano - wallet.available_nano
    if beyond_nano <= 0:
        return None
    return Posting(
        f"repay:{posting_id}",
        "repay",
        (
            Entry("customer:available", wallet.organisation_id, beyond_nano),
            Entry("customer:debt", wallet.organisation_id, -beyond_nano),
        ),
    )


def grant_promo(
    idempotency_id: str,
    kind: PostingKind,
    amount_nano: int,
    organisation_id: UUID,
    pool: Pool = "promo",
) -> Posting:
    """Build the posting of a grant. The customer can spend it immediately."""
    _refuse_not_positive(amount_nano)
    return Posting(
        idempotency_id,
        kind,
        (
            Entry(_ISSUED[pool], organisation_id, -amount_nano),
            Entry("customer:available", organisation_id, amount_nano),
            *_earmark_entries(organisation_id, amount_nano, pool),
        ),
    )


def consume_promo(
    grant_id: UUID, entry_id: int, amount_nano: int, organisation_id: UUID, pool: Pool = "promo"
) -> Posting:
    """Build the posting that charges this grant with the spending up to a ledger entry."""
    _refuse_not_positive(amount_nano)
    return Posting(
        f"consume:{grant_id}:{entry_id}",
        "consume",
        _earmark_entries(organisation_id, -amount_nano, pool),
    )


def lapse_promo(
    grant_id: UUID,
    expired_nano: int,
    amount_nano: int,
    organisation_id: UUID,
    pool: Pool = "promo",
) -> Posting:
    """Build the posting that takes back the remainder of an expired or withdrawn grant.
    `expired_nano` is the amount taken back before."""
    _refuse_not_positive(amount_nano)
    return Posting(
        f"lapse:{grant_id}:{expired_nano}",
        "lapse",
        (
            Entry("customer:available", organisation_id, -amount_nano),
            Entry(_ISSUED[pool], organisation_id, amount_nano),
            *_earmark_entries(organisation_id, -amount_nano, pool),
        ),
    )


def _earmark_entries(organisation_id: UUID, amount_nano: int, pool: Pool) -> tuple[Entry, Entry]:
    return (
        Entry("promo:available", organisation_id, amount_nano),
        Entry(_EARMARKED[pool], organisation_id, -amount_nano),
    )


def _flow(
    idempotency_id: str,
    kind: PostingKind,
    other_side: AccountKind,
    amount_nano: int,
    wallet: Wallet,
) -> Posting:
    other = Entry(other_side, wallet.organisation_id, -amount_nano)
    return _transfer_entries(idempotency_id, kind, (other,), wallet)


def _transfer_entries(
    idempotency_id: str, kind: PostingKind, others: tuple[Entry, ...], wallet: Wallet
) -> Posting:
    """Build the posting that moves the sum of the other entries to the wallet or from it. Money
    that comes in pays debt first. Money that is taken but not available becomes debt."""
    amount_nano = -sum(entry.amount_nano for entry in others)
    if amount_nano > 0:
        debt_nano = min(amount_nano, wallet.owed_nano)
    else:
        debt_nano = min(wallet.available_nano + wallet.line_nano + amount_nano, 0)
    lines = (
        *others,
        Entry("customer:debt", wallet.organisation_id, debt_nano),
        Entry("customer:available", wallet.organisation_id, amount_nano - debt_nano),
    )
    moved = tuple(line for line in lines if line.amount_nano)
    return Posting(idempotency_id, kind, moved)


def _refuse_not_positive(amount_nano: int) -> None:
    if amount_nano <= 0:
        raise PostingInvalid(f"{amount_nano} nano: expected more than 0")
