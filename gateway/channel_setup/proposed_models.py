"""The models that a provider lists, as proposed for a new channel: which are ticked, under which
names, at which prices."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from django.utils.translation import gettext

from billing.currency.money import MoneyInvalid
from billing.prices.meters import format_rate, parse_rate
from billing.prices.prices import ListedPrice
from billing.prices.pricing import PPM
from gateway.channel_setup.edit_forms import TYPED_METERS
from gateway.channels.refusals import ChannelRefused
from gateway.channels.served_models import price_of
from gateway.listed_models.shown_models import ListedModel
from gateway.price_book.price_book import BookEntry
from gateway.providers.models import capabilities_of, find_row
from gateway.providers.products import unreachable_product
from gateway.providers.provider import Provider

_TICKED_UNKNOWN_MAX: Final = 20
"""How many are ticked where no model is known with a price."""
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
    rows = [propose_model(provider, upstream, prices, named or {}) for upstream in listed]
    if ticked is None:
        offered = provider.address(provider.base_url or _ANY_URL).urls
        reachable = [row for row in rows if unreachable_product(offered, row.upstream) is None]
        good = {row.upstream for row in reachable if row.price and find_row(row.upstream)}
        ticked = good or {row.upstream for row in reachable[:_TICKED_UNKNOWN_MAX]}
    return [
        replace(row, ticked=row.upstream in ticked, typed=(priced or {}).get(row.upstream))
        for row in rows
    ]


def propose_model(
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
