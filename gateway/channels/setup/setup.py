"""Sets up a new channel: the models that its provider lists, their proposed names, and their
prices."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.db import transaction
from django.utils.translation import gettext

from accounts.access.actors import Actor
from billing.prices.prices import ListedPrice, PriceRefused, set_price
from billing.prices.pricing import PPM
from gateway.channels.channels import create_channel
from gateway.channels.fields import ChannelFields
from gateway.channels.refusals import ChannelRefused
from gateway.models import Channel
from gateway.prices.price_book import BookEntry
from gateway.providers.models import capabilities_of, find_row
from gateway.providers.products import unreachable_product
from gateway.providers.provider import Provider
from gateway.public_models.served import price_of
from gateway.public_models.shown_models import ListedModel
from lib import clock

SOURCE: Final = "page"
"""The source of a price that is set with a channel."""
_TICKED_UNKNOWN_MAX: Final = 20
# What a provider offers hardly depends on its address.
_ANY_URL: Final = "https://provider.invalid"


@dataclass(frozen=True, slots=True)
class ProposedModel:
    """One of a provider's models. `price` is the present price of `name`, or with `copied` the
    proposed one."""

    upstream: str
    name: str
    ticked: bool
    capabilities: list[str]
    price: ListedPrice | None
    copied: bool

    @property
    def rates(self) -> Mapping[str, str]:
        """The prices per million tokens by meter, for the meters that every list shows."""
        if self.price is None:
            return {}
        entry = BookEntry(self.name, self.price, PPM)
        return {meter: rate.price for meter, rate in entry.main.items()}


def propose_models(
    provider: Provider,
    listed: Sequence[str],
    prices: Mapping[str, ListedPrice],
    *,
    named: Mapping[str, str] | None = None,
    ticked: Collection[str] | None = None,
) -> list[ProposedModel]:
    """Return the listed models with names and prices, in order. `named` and `ticked` are the
    operator's choices. Without them, known models with a price are ticked, or all models of a short
    list."""
    rows = [_propose_model(provider, upstream, prices, named or {}) for upstream in listed]
    if ticked is None:
        offered = provider.address(provider.base_url or _ANY_URL).urls
        reachable = [row for row in rows if unreachable_product(offered, row.upstream) is None]
        good = {row.upstream for row in reachable if row.price and find_row(row.upstream)}
        ticked = good or {row.upstream for row in reachable[:_TICKED_UNKNOWN_MAX]}
    return [
        ProposedModel(row.upstream, row.name, row.upstream in ticked, row.capabilities, row.price,
                      row.copied)
        for row in rows
    ]  # fmt: skip


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
    model = ListedModel(name, "", known, can, None, (), ())
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
    """Create a channel, and the proposed prices of its models. Raises ChannelRefused."""
    if not fields["models"]:
        raise ChannelRefused("models", gettext("Choose at least one model, or enter one."))
    with transaction.atomic():
        channel = create_channel(actor, name, fields)
        set_proposed_prices(actor, chosen)
    return channel


def set_proposed_prices(actor: Actor, chosen: Iterable[ProposedModel]) -> None:
    """Set the proposed prices of models that are served from now on. Raises ChannelRefused."""
    for model in chosen:
        if model.copied and model.price is not None:
            try:
                set_price(actor, model.name, clock.now(), model.price.rates, source=SOURCE)
            except PriceRefused as refused:
                raise ChannelRefused("models", str(refused)) from refused
