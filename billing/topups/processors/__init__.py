"""The payment processors of this installation."""

from django.conf import settings

from billing.topups.processors.bank_transfer import ManualProcessor
from billing.topups.processors.processor import Processor
from billing.topups.processors.stripe import StripeProcessor


class UnknownProcessor(LookupError):
    """The processor does not exist or is not configured."""


def processors() -> dict[str, Processor]:
    """Return the configured processors by name, the preferred one first."""
    configured: list[Processor] = [StripeProcessor()] if settings.STRIPE_SECRET_KEY else []
    configured.append(ManualProcessor())
    return {processor.name: processor for processor in configured}


def processor_named(name: str) -> Processor:
    """Return the processor with this name. Raises UnknownProcessor."""
    try:
        return processors()[name]
    except KeyError:
        raise UnknownProcessor(name) from None
