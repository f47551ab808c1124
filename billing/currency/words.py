"""The symbol of the currency, and amounts as text on pages."""

from django.utils.translation import pgettext

from billing.currency.display import (
    TOTAL_PLACES,
    Nano,
    charge_places,
    display,
    places_beside,
    price_places,
)


def money_symbol() -> str:
    """Return the symbol of USD in the page's language: ``$`` in all present languages."""
    return pgettext("currency", "$")


def total_text(nano: int) -> str:
    """Return a total, to the cent."""
    return display(nano, TOTAL_PLACES, money_symbol())


def charge_text(nano: int) -> str:
    """Return the charge of one request or session."""
    return display(nano, charge_places([nano]), money_symbol())


def limit_text(nano: Nano) -> str:
    """Return a limit, such as a budget's, in full."""
    return display(nano, price_places([nano]), money_symbol())


def beside_text(nano: Nano, limit_nano: Nano) -> str:
    """Return an amount that stands beside its limit."""
    return display(nano, places_beside(limit_nano, nano), money_symbol())
