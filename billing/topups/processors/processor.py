"""The interface of a payment processor, and its errors.

ProcessorError
    ProcessorUnavailable    no answer, or none that can be read: try again, nothing is known
    ProcessorDeclined       the card was not charged, and another request would not charge it
    EventInvalid            not signed by the processor, or no event at all
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from billing.topups.rules import PaymentEvent


class ProcessorError(Exception):
    """The processor did not execute a request of ours."""


class ProcessorUnavailable(ProcessorError):
    """The result is unknown: ask again with the same order."""


class ProcessorDeclined(ProcessorError):
    """The payment was declined; the text gives the customer the reason."""


class EventInvalid(ProcessorError):
    """The event is not signed by the processor, or has an unknown form."""


@dataclass(frozen=True)
class CheckoutOrder:
    """A payment to create. For the same order the processor returns the same checkout."""

    order_id: str
    owner_id: str
    owner_name: str
    amount_minor: int
    currency: str
    email: str
    return_url: str
    cancel_url: str
    keep_card: bool


@dataclass(frozen=True)
class Checkout:
    """The page where the customer pays. A bank transfer has none, so `url` is empty."""

    checkout_id: str
    url: str


@dataclass(frozen=True)
class ChargeOrder:
    """An order to charge a stored card while its holder is absent."""

    order_id: str
    owner_id: str
    amount_minor: int
    currency: str
    customer: str


class Processor(Protocol):
    """One payment company. Every method may raise ProcessorError."""

    @property
    def name(self) -> str: ...

    @property
    def live(self) -> bool:
        """Return whether the processor moves real money."""

    @property
    def keeps_cards(self) -> bool: ...

    def create_checkout(self, order: CheckoutOrder) -> Checkout: ...

    def charge_kept_card(self, order: ChargeOrder) -> str:
        """Charge the card and return the id of the payment. An event reports when it is paid."""

    def verify_event(self, headers: Mapping[str, str], body: bytes) -> PaymentEvent | None:
        """Return the event, or None for a kind that we ignore. Raises EventInvalid."""
