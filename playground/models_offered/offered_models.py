"""Which models the playground offers: those that the installation serves and its key may call."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from accounts.access.actors import Actor, organisation_of
from accounts.keys.keys import playground_key
from accounts.models import Key
from billing.price_plans.price_plans import price_plan_of_actor
from billing.prices.name_patterns import matches
from billing.prices.prices import ListedPrice
from billing.prices.pricing import PPM, PriceVersion
from content.policies.policies import permitted_models
from gateway.channels.places import Places, enabled_channels
from gateway.channels.served_models import price_of, prices_in_force, served_models
from gateway.model_entries.entries import absent_names, overrides_of
from gateway.model_entries.rules import merge_entries
from gateway.models import InstallationSetting, ModelEntry
from gateway.providers import PROVIDERS
from gateway.providers.capabilities import UNKNOWN, Capabilities
from gateway.providers.media_kinds import media_kind
from gateway.providers.media_options import MediaKind
from gateway.providers.models import capabilities_of, find_row
from gateway.providers.overrides import apply_overrides
from lib import clock
from playground.models_offered.media_model import MediaModel

_CONNECTIONS: Final = frozenset({"realtime", "live"})


@dataclass(frozen=True)
class OfferedModel:
    """A model name with its current price. Rates are in nano per million tokens and include the
    multiplier of the organisation's plan."""

    name: str
    price: ListedPrice | None
    multiplier_ppm: int = PPM

    @property
    def embeds(self) -> bool:
        """Whether the model is an embedding model: by the catalogue, or else because its price has
        only text input."""
        known = find_row(self.name)
        if known is not None and known.endpoint != "chat":
            return known.endpoint == "embeddings"
        return self.price is not None and self.price.rates["meters"].keys() == {"in_text"}

    @property
    def meters(self) -> frozenset[str]:
        """Return the meters of the model's price."""
        return frozenset() if self.price is None else frozenset(self.price.rates["meters"])

    @property
    def chats(self) -> bool:
        """Whether the model is a chat model, as far as its name and price show."""
        known = find_row(self.name)
        if known is None:
            return not self.embeds and media_kind(None, self.meters) is None
        return not self.embeds and known.endpoint == "chat"

    @property
    def input_rate(self) -> int | None:
        return self._rate("in_text")

    @property
    def output_rate(self) -> int | None:
        return self._rate("out_text")

    @property
    def call_rate(self) -> int | None:
        """The price of one call, in nano, or None."""
        rate = self._rate("requests")
        return None if rate is None else rate // 10**6

    def _rate(self, meter: str) -> int | None:
        if self.price is None or meter not in self.price.rates["meters"]:
            return None
        version = PriceVersion.from_stored(self.price.rates).multiplied(self.multiplier_ppm)
        return version.visible_rates()[meter]


def offered_models(actor: Actor) -> list[OfferedModel]:
    """Return the models that the actor may choose, by name. A model without a price is offered only
    if the installation allows it."""
    prices = prices_in_force()
    names: set[str] = set()
    for model in served_models():
        if any(server.channel.enabled for server in model.servers):
            names.update(model.priced if model.pattern else [model.name])
    setting = InstallationSetting.objects.first()
    refuses_unpriced = setting is None or setting.unpriced_models == "reject"
    key = playground_key(organisation_of(actor))
    plan = price_plan_of_actor(actor, key)
    names -= absent_names(plan.name, str(actor.role or ""), clock.now())
    offered = [
        OfferedModel(name, price_of(name, prices), plan.multiplier_for(name))
        for name in sorted(names)
        if not plan.model_patterns or any(matches(pattern, name) for pattern in plan.model_patterns)
    ]
    permits = permitted_models(key)
    return [
        model
        for model in offered
        if permits(model.name) and (model.price is not None or not refuses_unpriced)
    ]


def chat_models(actor: Actor) -> list[OfferedModel]:
    """Return the offered chat models."""
    return [model for model in offered_models(actor) if model.chats]


def price_version_of(actor: Actor, key: Key, model: str) -> PriceVersion | None:
    """Return the current price that the actor pays with a key, or None for a model without one."""
    listed = price_of(model, prices_in_force())
    if listed is None:
        return None
    version = PriceVersion.from_stored(listed.rates)
    return version.multiplied(price_plan_of_actor(actor, key).multiplier_for(model))


def capabilities_of_model(model: str) -> Capabilities:
    """Return a model's capabilities at its first channel."""
    for place in Places(enabled_channels()).of(model):
        provider = PROVIDERS.get(place.channel.provider)
        if provider is None:
            # Its extension is off.
            continue
        can = capabilities_of(place.upstream_name(model), provider, model)
        entry = ModelEntry.objects.filter(name=model).first()
        return apply_overrides(can, merge_entries(overrides_of(entry), place.route.can.items()))
    return UNKNOWN


def is_demonstration(model: str) -> bool:
    """Return whether a model answers first by the installation's own demonstration."""
    first = next(Places(enabled_channels()).of(model), None)
    return first is not None and first.channel.provider == "local"


def media_models(actor: Actor, kind: MediaKind) -> list[MediaModel]:
    """Return the models that create images, speech, transcripts or videos, by name."""
    places = Places(enabled_channels())
    offered = []
    for model in offered_models(actor):
        upstream = _upstream_name(model.name, places)
        known = find_row(upstream) or find_row(model.name)
        if media_kind(known, model.meters) == kind:
            offered.append(MediaModel(model.name, upstream, model.meters))
    return offered


def offered_kinds(actor: Actor) -> set[str]:
    """Return the kinds of media, and "realtime", that have a model."""
    places = Places(enabled_channels())
    kinds: set[str] = set()
    for model in offered_models(actor):
        known = find_row(_upstream_name(model.name, places)) or find_row(model.name)
        if known is not None and known.endpoint in _CONNECTIONS:
            kinds.add("realtime")
        elif kind := media_kind(known, model.meters):
            kinds.add(kind)
    return kinds


def call_prices(actor: Actor, kind: MediaKind) -> dict[str, int]:
    """Return the price (nano) of a call of each model of a kind that is priced per call."""
    offered = {model.name: model for model in offered_models(actor)}
    rates = {model.name: offered[model.name].call_rate for model in media_models(actor, kind)}
    return {name: rate for name, rate in rates.items() if rate is not None}


class ConnectionModels(NamedTuple):
    """The models that answer over a connection, by name: those that the realtime page talks to,
    and those whose connections are in a form for applications only.
    """

    here: list[str]
    by_code: list[str]


def connection_models(actor: Actor) -> ConnectionModels:
    """Return the models that answer over a connection."""
    places = Places(enabled_channels())
    models = ConnectionModels([], [])
    for model in offered_models(actor):
        known = find_row(_upstream_name(model.name, places)) or find_row(model.name)
        if known is not None and known.endpoint in _CONNECTIONS:
            (models.here if _speaks_events(known) else models.by_code).append(model.name)
    return models


def realtime_models(actor: Actor) -> list[str]:
    """Return the models that the realtime page talks to, by name."""
    return connection_models(actor).here


def _speaks_events(known: Capabilities) -> bool:
    """Return whether a model's connections are in OpenAI's realtime form, which the page uses."""
    return known.endpoint == "realtime" and known.owner != "google"


def _upstream_name(model: str, places: Places) -> str:
    """Return the model's name at its first channel."""
    return next((place.upstream_name(model) for place in places.of(model)), model)
