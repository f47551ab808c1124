"""What falling back to the installation's channels costs: the organisation's prices of the models
that a channel serves."""

from typing import Any, Final, NamedTuple

from accounts.access.actors import Actor
from billing.prices.name_patterns import matches
from gateway.models import Channel
from gateway.price_book.price_book import price_book
from lib import clock

MODELS_MAX: Final = 50
"""So many models are shown at most."""
_MAIN: Final = ("in_text", "out_text")


class FallbackPrice(NamedTuple):
    """The price of a model, in words: a rate of input and output each, "" where it has none, and
    all its rates where it is not priced by them."""

    model: str
    input: str
    output: str
    other: str


def fallback_prices(actor: Actor, channel: Channel) -> list[FallbackPrice]:
    """The standard prices of a channel's models that the actor's organisation may see, by name;
    MODELS_MAX at most."""
    names = [route.model for route in channel.routes.all()]
    prices: list[FallbackPrice] = []
    for entry in price_book(actor, clock.now()).entries:
        if entry.condition or not any(matches(name, entry.model) for name in names):
            continue
        main: dict[str, Any] = entry.main
        input, output = (main[name].text if name in main else "" for name in _MAIN)
        other = "" if input or output else " · ".join(rate.text for rate in entry.rates)
        prices.append(FallbackPrice(entry.model, input, output, other))
        if len(prices) == MODELS_MAX:
            break
    return prices
