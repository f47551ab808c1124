"""Bank transfers: the customer pays with a reference, and an operator confirms the arrival."""

from collections.abc import Mapping

from billing.topups.processors.processor import (
    ChargeOrder,
    Checkout,
    CheckoutOrder,
    EventInvalid,
    ProcessorDeclined,
)
from billing.topups.rules import PaymentEvent


class ManualProcessor:
    """A processor that moves no money itself."""

    name = "manual"
    live = True
    keeps_cards = False

    def create_checkout(self, order: CheckoutOrder) -> Checkout:
        return Checkout(order.order_id, "")

    def charge_kept_card(self, order: ChargeOrder) -> str:
        raise ProcessorDeclined("A transfer by bank is made by hand.")

    def verify_event(self, headers: Mapping[str, str], body: bytes) -> PaymentEvent | None:
        raise EventInvalid("Nobody tells of transfers; an operator confirms them.")
