"""Which model names the installation serves, by which channels, at which price now."""

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
    """A channel that serves a name, what the name is there, and what its operator says that it can
    do there."""

    channel: Channel
    upstream_model: str
    can: Mapping[str, bool] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return id_text(self.channel.id)


@dataclass
class ServedModel:
    """A name, or a pattern of names. `price` is in force now; `priced` are names of a pattern."""

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
    """Every name and pattern that a channel serves, disabled channels included, by name."""
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


def prices_in_force(kind: str = "charge", channel: str = "") -> dict[str, ListedPrice]:
    """The version of each plain price of a kind that is in force now, by the price's name or
    pattern; `channel` is whose own costs are asked for."""
    now = clock.now()
    # What holds at this hour only is listed behind what holds all day, and wins.
    return {
        price.model: price
        for price in list_prices(kind=kind)
        if price.key.channel == channel
        and not price.key.service_tier
        and price.in_force_at(now)
        and _hold_at(price.key.hours, now)
    }


Priced = TypeVar("Priced")


def price_of(model: str, prices: Mapping[str, Priced]) -> Priced | None:
    """An exact name beats the longest pattern that has a price."""
    if model in prices:
        return prices[model]
    fitting = [name for name in prices if "*" in name and matches(name, model)]
    return prices[min(fitting, key=lambda name: (-len(name), name))] if fitting else None


def testable_names(channel: Channel, priced: Iterable[str]) -> list[str]:
    """The names that a test of the channel may ask: its own, and priced ones that it matches."""
    routes = [route.model for route in channel.routes.all()]
    named = [name for name in routes if "*" not in name]
    patterns = [name for name in routes if "*" in name]
    met = {name for name in priced if any(matches(pattern, name) for pattern in patterns)}
    return sorted(named) + sorted(met.difference(named))


def _hold_at(hours: str, at: dt.datetime) -> bool:
    span = read_hours(hours)
    at = at.astimezone(dt.UTC)
    return span is None or span.hold_at(at.hour * 3600 + at.minute * 60 + at.second)
