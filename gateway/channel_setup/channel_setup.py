"""Sets up a new channel: the models that its provider lists, their proposed names, and their
prices."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext

from accounts.access.actors import Actor
from billing.currency.money import MoneyInvalid
from billing.prices.meters import format_rate, parse_rate
from billing.prices.prices import ListedPrice, PriceRefused, set_price
from billing.prices.pricing import PPM
from gateway.channel_setup.edit_forms import TYPED_METERS
from gateway.channels.channels import create_channel
from gateway.channels.fields import ChannelFields, provider_of
from gateway.channels.refusals import ChannelRefused
from gateway.channels.served_models import price_of, prices_in_force, unpriced_models
from gateway.listed_models.shown_models import ListedModel
from gateway.models import Channel
from gateway.price_book.price_book import BookEntry
from gateway.providers.models import capabilities_of, find_row
from gateway.providers.products import unreachable_product
from gateway.providers.provider import Provider
from lib import clock

SOURCE: Final = "page"
"""The source of a price that is set with a channel."""
_TICKED_UNKNOWN_MAX: Final = 20
# What a provider offers hardly depends on its address.
_ANY_URL: Final = "https://provider.invalid"


@dataclass(frozen=True, slots=True)
class ProposedModel:
    """One of a provider's models. `price` is the present price of `name`, or with `copied` the
    proposed one. `typed` are the operator's prices by meter, as texts in USD per million tokens;
    None if the form had no fields for them."""

    upstream: str
    name: str
    ticked: bool
    capabilities: list[str]
    price: ListedPrice | None
    copied: bool
    typed: Mapping[str, str] | None = None

    @property
    def rates(self) -> Mapping[str, str]:
        """The prices per million tokens by meter, for the meters that every list shows."""
        if self.price is None:
            return {}
        entry = BookEntry(self.name, self.price, PPM)
        return {meter: rate.price for meter, rate in entry.main.items()}

    @property
    def others(self) -> str:
        """The first price of a model without prices per token: `$0.042 / image`."""
        entry = None if self.price is None else BookEntry(self.name, self.price, PPM)
        return "" if entry is None else entry.cells["first"]

    @property
    def takes_price(self) -> bool:
        """Whether its prices are entered with it: it has none yet, or none but a proposed one per
        token."""
        return self.price is None or (self.copied and any(self._proposed.values()))

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The meters of the fields for its prices, with what stands in them."""
        return list((self.typed or self._proposed).items())

    @property
    def _proposed(self) -> dict[str, str]:
        """The proposed rates as texts, "" for a meter without one."""
        meters = self.price.rates["meters"] if self.price is not None and self.copied else {}
        return {
            meter: format_rate(meter, meters[meter]) if meter in meters else ""
            for meter in TYPED_METERS
        }

    def new_rates(self) -> dict[str, Any] | None:
        """Return the rates to set with the model in the stored form, or None. What the fields do
        not have (tiers, other meters) is taken over from the proposed price. Raises
        ChannelRefused."""
        proposed = self.price.rates if self.price is not None and self.copied else None
        if self.typed is None or self.typed == self._proposed:
            return proposed
        if self.price is not None and not self.copied:
            text = gettext("%(name)s already has a price. Change it in the price book.")
            raise ChannelRefused("models", text % {"name": self.name})
        meters: dict[str, Any] = {**(proposed or {"meters": {}})["meters"]}
        for meter, text in self.typed.items():
            meters.pop(meter, None)
            if text:
                meters[meter] = self._read_rate(meter, text)
        return {**(proposed or {}), "meters": meters} if meters else None

    def _read_rate(self, meter: str, text: str) -> int:
        try:
            return parse_rate(meter, text)
        except MoneyInvalid as error:
            message = gettext(
                "The price of %(name)s must be 0 or more, such as 0.15, with up to 9 decimal "
                "places."
            )
            raise ChannelRefused("models", message % {"name": self.name}) from error


def propose_models(
    provider: Provider,
    listed: Sequence[str],
    prices: Mapping[str, ListedPrice],
    *,
    named: Mapping[str, str] | None = None,
    ticked: Collection[str] | None = None,
    priced: Mapping[str, Mapping[str, str]] | None = None,
) -> list[ProposedModel]:
    """Return the listed models with names and prices, in order. `named`, `ticked` and `priced` are
    the operator's choices. Without them, known models with a price are ticked, or all models of a
    short list."""
    rows = [_propose_model(provider, upstream, prices, named or {}) for upstream in listed]
    if ticked is None:
        offered = provider.address(provider.base_url or _ANY_URL).urls
        reachable = [row for row in rows if unreachable_product(offered, row.upstream) is None]
        good = {row.upstream for row in reachable if row.price and find_row(row.upstream)}
        ticked = good or {row.upstream for row in reachable[:_TICKED_UNKNOWN_MAX]}
    return [
        replace(row, ticked=row.upstream in ticked, typed=(priced or {}).get(row.upstream))
        for row in rows
    ]


def _propose_model(
    provider: Provider,
    upstream: str,
    prices: Mapping[str, ListedPrice],
    named: Mapping[str, str],
) -> ProposedModel:
    name = named.get(upstream, upstream)
    own = price_of(name, prices)
    # A model with another name, or with its owner in front, costs the same.
    same = price_of(upstream, prices) or price_of(upstream.rpartition("/")[2], prices)
    can = capabilities_of(upstream, provider, name)
    known = find_row(upstream) is not None
    model = ListedModel(
        name=name, owner="", known=known, can=can, entry=None, entries=(), aliases=()
    )
    words = list(model.capabilities.values())
    return ProposedModel(
        upstream, name, False, words, own or same, own is None and same is not None
    )


def routes_of(chosen: Iterable[ProposedModel], by_hand: str) -> dict[str, str]:
    """Return public name -> upstream name ("" for the same) of the chosen models and of typed lines
    such as `name` or `name = upstream`. Raises ChannelRefused for a name that occurs twice."""
    pairs = [(model.name, model.upstream) for model in chosen]
    for line in filter(None, map(str.strip, by_hand.splitlines())):
        name, _, upstream = (part.strip() for part in line.partition("="))
        pairs.append((name, upstream or name))
    routes: dict[str, str] = {}
    for name, upstream in pairs:
        if name in routes:
            text = gettext("Two models have the name %(name)s.") % {"name": name}
            raise ChannelRefused("models", text)
        routes[name] = "" if upstream == name else upstream
    return routes


def set_up_channel(
    actor: Actor, name: str, fields: ChannelFields, chosen: Iterable[ProposedModel]
) -> Channel:
    """Create a channel, and the typed or proposed prices of its models. Raises ChannelRefused."""
    if not fields["models"]:
        raise ChannelRefused("models", gettext("Choose at least one model, or enter one."))
    with transaction.atomic():
        channel = create_channel(actor, name, fields)
        set_new_prices(actor, chosen)
    return channel


def propose_missing_prices(
    channel: Channel, priced: Mapping[str, Mapping[str, str]] | None = None
) -> list[ProposedModel]:
    """Return the models of a channel without a price, each with the proposed one, if any. `priced`
    are the operator's, by name."""
    prices, provider = prices_in_force(), provider_of(channel)
    upstream = {route.model: route.upstream_model for route in channel.routes.all()}
    rows = []
    for name in unpriced_models(channel, prices):
        known = upstream[name] or name
        row = _propose_model(provider, known, prices, {known: name})
        rows.append(replace(row, ticked=True, typed=(priced or {}).get(name)))
    return rows


def set_missing_prices(actor: Actor, rows: Iterable[ProposedModel]) -> int:
    """Set the typed prices of models without one. Return how many. Raises ChannelRefused."""
    with transaction.atomic():
        return set_new_prices(actor, rows)


def set_new_prices(actor: Actor, chosen: Iterable[ProposedModel]) -> int:
    """Set the typed or proposed prices of models that are served from now on. Return how many.
    Raises ChannelRefused."""
    rates = {model.name: model.new_rates() for model in chosen}
    wanted = {name: one for name, one in rates.items() if one is not None}
    for name, one in wanted.items():
        try:
            set_price(actor, name, clock.now(), one, source=SOURCE)
        except PriceRefused as refused:
            raise ChannelRefused("models", str(refused)) from refused
    return len(wanted)
