"""The model names that the installation serves, their channels, and their current prices."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from billing.prices.conditions import read_hours
from billing.prices.name_patterns import matches
from billing.prices.prices import ListedPrice, list_prices
from gateway.models import Channel
from lib import clock
from lib.ids import id_text


@dataclass(frozen=True)
class Server:
    """A channel that serves a name, the channel's name for it, and the operator's overrides
    there."""

    channel: Channel
    upstream_model: str
    can: Mapping[str, bool] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return id_text(self.channel.id)


@dataclass
class ServedModel:
    """A name, or a pattern of names. `price` is the current one; `priced` are names that match a
    pattern and have a price."""

    name: str
    servers: list[Server] = field(default_factory=list)
    price: ListedPrice | None = None
    priced: list[str] = field(default_factory=list)

    @property
    def pattern(self) -> bool:
        return "*" in self.name

    @property
    def unpriced(self) -> bool:
        return self.price is None and not self.priced


def served_models() -> list[ServedModel]:
    """Return every name and pattern that a channel serves, by name. Disabled channels are
    included."""
    models: dict[str, ServedModel] = {}
    for channel in (
        Channel.objects.filter(archived_at=None)
        .prefetch_related("routes")
        .order_by("priority", "name")
    ):
        for route in channel.routes.all():
            model = models.setdefault(route.model, ServedModel(route.model))
            model.servers.append(Server(channel, route.upstream_model, route.can))
    prices = prices_in_force()
    for model in models.values():
        if model.pattern:
            model.priced = sorted(
                name for name in prices if "*" not in name and matches(model.name, name)
            )
            model.price = prices.get(model.name)
        else:
            model.price = price_of(model.name, prices)
    return sorted(models.values(), key=lambda model: (model.pattern, model.name))


def prices_in_force() -> dict[str, ListedPrice]:
    """Return the current version of each plain price that customers pay, by the price's name or
    pattern."""
    now = clock.now()
    # A price for this hour comes after the one for the whole day, and overrides it.
    return {
        price.model: price
        for price in list_prices()
        if not price.key.channel
        and not price.key.service_tier
        and not price.key.region
        and price.in_force_at(now)
        and _hold_at(price.key.hours, now)
    }


Priced = TypeVar("Priced")


def price_of(model: str, prices: Mapping[str, Priced]) -> Priced | None:
    """Return a model's price. An exact name beats the longest matching pattern."""
    if model in prices:
        return prices[model]
    fitting = [name for name in prices if "*" in name and matches(name, model)]
    return prices[min(fitting, key=lambda name: (-len(name), name))] if fitting else None


def unpriced_models(channel: Channel, prices: Mapping[str, ListedPrice]) -> list[str]:
    """Return the names and patterns that the channel serves and that have no price, in their
    order. A pattern has one if a name that it matches does."""
    return [
        route.model
        for route in channel.routes.all()
        if price_of(route.model, prices) is None
        and not ("*" in route.model and any(matches(route.model, name) for name in prices))
    ]


def testable_names(channel: Channel, priced: Iterable[str]) -> list[str]:
    """Return the names that a test of the channel may use: those that it serves, and priced names
    that its patterns match."""
    routes = [route.model for route in channel.routes.all()]
    named = [name for name in routes if "*" not in name]
    patterns = [name for name in routes if "*" in name]
    met = {name for name in priced if any(matches(pattern, name) for pattern in patterns)}
    return sorted(named) + sorted(met.difference(named))


def _hold_at(hours: str, at: dt.datetime) -> bool:
    span = read_hours(hours)
    at = at.astimezone(dt.UTC)
    return span is None or span.hold_at(at.hour * 3600 + at.minute * 60 + at.second)
