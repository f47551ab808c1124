"""What every payment company is asked for, and how it refuses.

ProcessorError
    ProcessorUnavailable    no answer, or none that can be read: try again, nothing is known
    ProcessorDeclined       the card was not charged, and will not be without its holder
    EventInvalid            not signed by the processor, or no event at all
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from billing.topups.rules import PaymentEvent


class ProcessorError(Exception):
    """The processor did not do what it was asked for."""


class ProcessorUnavailable(ProcessorError):
    """Nothing is known: ask again, with the same order."""


class ProcessorDeclined(ProcessorError):
    """The payment was refused; the text says why, for the customer."""


class EventInvalid(ProcessorError):
    """The event is not the processor's, or has no form that we know."""


@dataclass(frozen=True)
class CheckoutOrder:
    """A payment to be made: for the same order the processor gives the same checkout."""

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
    """Where the customer pays. Without a URL there is nothing to open: a transfer by bank."""

    checkout_id: str
    url: str


@dataclass(frozen=True)
class ChargeOrder:
    """A charge of a card that was kept, without its holder."""

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
        """Whether it moves real money."""

    @property
    def keeps_cards(self) -> bool: ...

    def create_checkout(self, order: CheckoutOrder) -> Checkout: ...

    def charge_kept_card(self, order: ChargeOrder) -> str:
        """The id of the payment; that it is paid is told by an event."""

    def verify_event(self, headers: Mapping[str, str], body: bytes) -> PaymentEvent | None:
        """The event, None for a kind that is of no interest."""
