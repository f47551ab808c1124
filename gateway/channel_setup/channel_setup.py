"""Sets up a new channel with the chosen models and their prices."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from django.db import transaction
from django.utils.translation import gettext

from accounts.access.actors import Actor
from billing.prices.prices import PriceRefused, set_price
from gateway.channel_setup.proposed_models import ProposedModel, propose_model
from gateway.channels.channels import create_channel
from gateway.channels.fields import ChannelFields, provider_of
from gateway.channels.refusals import ChannelRefused
from gateway.channels.served_models import prices_in_force, unpriced_models
from gateway.models import Channel
from lib import clock

SOURCE: Final = "page"
"""The source of a price that is set with a channel."""


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
        row = propose_model(provider, known, prices, {known: name})
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
