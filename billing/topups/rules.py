"""The bounds of top-ups, the fields of a processor's event, and whether it pays an order (I21)."""

from dataclasses import dataclass
from typing import Final, Literal

from billing.currency.money import NANO_PER_USD

EventKind = Literal[
    "paid", "pending", "failed", "expired", "refunded", "unrefunded", "disputed", "reinstated"
]
"""`unrefunded`: a refund failed because the payer's bank returned it."""
NANO_PER_MINOR: Final = 10_000_000
"""Nano of a cent."""
TOP_UP_MIN_NANO: Final = 5 * NANO_PER_USD
TOP_UP_MAX_NANO: Final = 10_000 * NANO_PER_USD


@dataclass(frozen=True, slots=True)
class PaymentEvent:
    """One verified event, independent of the processor.

    `order_id` and `owner_id` are the ids that we sent with the order, empty if the event is about a
    payment alone. `object_id` is the event's object: the checkout, or the dispute. For a refund,
    `amount_minor` is the sum of all refunds of the payment.
    """

    processor: str
    event_id: str
    kind: EventKind
    object_id: str
    payment_id: str
    order_id: str
    owner_id: str
    amount_minor: int
    currency: str
    live: bool
    customer: str = ""

    @property
    def amount_nano(self) -> int:
        return self.amount_minor * NANO_PER_MINOR


@dataclass(frozen=True, slots=True)
class Order:
    """The stored order that a payment is compared with."""

    processor: str
    order_id: str
    owner_id: str
    checkout_id: str
    amount_nano: int
    currency: str
    live: bool
    state: str


def mismatch(order: Order, event: PaymentEvent) -> str | None:
    """Return why a payment does not match the order, in English for operators, or None if it
    matches.

    Processor, order, owner, amount, currency, mode and state must all be equal, because one of
    these alone proves nothing.
    """
    expected: list[tuple[str, object, object]] = [
        ("processor", order.processor, event.processor),
        ("order", order.order_id, event.order_id),
        ("owner", order.owner_id, event.owner_id),
        ("checkout", order.checkout_id, event.object_id),
        ("mode", order.live, event.live),
        ("currency", order.currency.lower(), event.currency.lower()),
        ("amount", order.amount_nano, event.amount_nano),
    ]
    for name, wanted, got in expected:
        if wanted != got or wanted == "":
            return f"The {name} does not match the order."
    if not event.payment_id:
        return "The payment has no id."
    if order.state == "paid":
        return "The order was already paid by another payment."
    return None
