"""Models as people choose among them: their capabilities, prices and other names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.access.actors import Actor
from billing.price_plans.price_plans import ListedPricePlan
from billing.prices.name_patterns import matches
from content.policies.policies import permitted_models
from gateway.aliases.aliases import all_aliases
from gateway.aliases.rules import resolve_aliases
from gateway.channels.places import Places, enabled_channels
from gateway.model_entries.entries import all_entries, overrides_of
from gateway.model_entries.rules import merge_entries
from gateway.models import Channel, ModelEntry
from gateway.price_book.price_book import BookEntry, PriceBook, price_book
from gateway.providers import PROVIDERS
from gateway.providers.capabilities import UNKNOWN, Capabilities
from gateway.providers.media_kinds import media_kind
from gateway.providers.models import capabilities_of, find_row
from gateway.providers.overrides import UNSAID, Overrides, apply_overrides, has_capability
from gateway.providers.task_services import TASK_SERVICES
from gateway.settings.installation import installation_settings
from lib import clock

OWNERS: Final[Mapping[str, str]] = {
    "openai": "OpenAI",
    "anthropic": "Anthropic",
    "google": "Google",
    "deepseek": "DeepSeek",
    "xai": "xAI",
    "alibaba": "Alibaba",
    "zhipu": "Zhipu",
    "bytedance": "ByteDance",
    "moonshot": "Moonshot",
    "kuaishou": "Kuaishou",
    "minimax": "MiniMax",
    **{name: label for service in TASK_SERVICES.values() for name, label in service.owners.items()},
}
CAPABILITIES: Final[Mapping[str, Promise]] = {
    "tools": _("Tools"),
    "schema": _("JSON schema"),
    "vision": _("Vision"),
    "files": _("Files"),
    "audio": _("Audio"),
    "reasoning": _("Reasoning"),
    "search": _("Web search"),
    "caching": _("Caching"),
}
CAPABILITY_WORDS: Final[Mapping[str, Promise]] = {
    **CAPABILITIES,
    # How the server answers, for operators only.
    "think_tags": _("Reasoning in <think> tags"),
}
MODALITIES: Final[Mapping[str, Promise]] = {
    "text": _("Text"),
    "image": _("Images"),
    "audio": _("Audio"),
    "file": _("Files"),
    "video": _("Video"),
}


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One name that clients can call. `entry` is its plain price, None if it is free. `known` means
    that the catalogue has it, so that its capabilities are facts and not defaults."""

    name: str
    owner: str
    known: bool
    can: Capabilities
    entry: BookEntry | None
    entries: tuple[BookEntry, ...]
    aliases: tuple[str, ...]
    # The operators' entry, for example with its end.
    own_entry: ModelEntry | None = None

    @property
    def senses_known(self) -> bool:
        """Whether the model's kinds of input are certain; a catalogue row without limits often does
        not state them."""
        return self.known and are_senses_known(self.can)

    @property
    def embeds(self) -> bool:
        """Whether the model is an embedding model. A model that the catalogue treats as a chat
        model counts as one if its price only has text input."""
        return self.can.endpoint == "embeddings" or (
            self.entry is not None
            and "out_text" not in self.entry.main.keys() >= {"in_text"}
            and self.can.endpoint == "chat"
        )

    @property
    def chats(self) -> bool:
        """Whether the model is a chat model. If the catalogue lacks it, the meters of its price
        decide."""
        if self.embeds or self.can.endpoint != "chat":
            return False
        return (
            self.known
            or self.entry is None
            or media_kind(None, self.entry.price.rates["meters"]) is None
        )

    @property
    def capabilities(self) -> dict[str, str]:
        """Its capabilities besides text chat, with the labels of CAPABILITIES."""
        return {name: str(CAPABILITIES[name]) for name in capability_names(self)}

    @property
    def inputs(self) -> list[str]:
        return [str(word) for name, word in MODALITIES.items() if name in self.can.inputs]

    @property
    def outputs(self) -> list[str]:
        return [str(word) for name, word in MODALITIES.items() if name in self.can.outputs]

    @property
    def efforts(self) -> tuple[str, ...]:
        return self.can.efforts

    @property
    def rates(self) -> dict[str, str]:
        """Its three main rates as text, as far as it has them."""
        return {} if self.entry is None else {m: r.text for m, r in self.entry.main.items()}

    @property
    def input_rate(self) -> int | None:
        return self._rate("in_text")

    @property
    def output_rate(self) -> int | None:
        return self._rate("out_text")

    def _rate(self, meter: str) -> int | None:
        rate = None if self.entry is None else self.entry.main.get(meter)
        return None if rate is None else rate.rate


def capability_names(model: ListedModel) -> list[str]:
    """Return the keys of CAPABILITIES that a model of the catalogue has; empty for an unknown
    one."""
    return capabilities_in(model.can) if model.known else []


def are_senses_known(can: Capabilities) -> bool:
    """Return whether a row states what its models read: a row without limits often does not."""
    return can.context_max is not None or can.inputs != UNKNOWN.inputs


def capabilities_in(can: Capabilities) -> list[str]:
    """Return the keys of CAPABILITIES in a row of the catalogue."""
    senses = are_senses_known(can)
    has = {
        "tools": can.tools,
        "schema": can.json == "schema" and "no_json_schema" not in can.flags,
        "vision": senses and "image" in can.inputs,
        "files": senses and "file" in can.inputs,
        "audio": (senses and "audio" in can.inputs) or "audio" in can.outputs,
        "reasoning": can.thinking not in (None, "never"),
        "search": can.search is not None or "search_by_responses" in can.traits,
        "caching": can.caching is not None,
    }
    return [name for name in CAPABILITIES if has[name]]


def usable_models(actor: Actor) -> Callable[[str], bool]:
    """Return a test of whether the calling key and its policies permit a model. Callers without a
    model key see all."""
    return permitted_models(actor.model_key) if actor.model_key else lambda _: True


def models_for(actor: Actor | None) -> list[ListedModel]:
    """Return the models that the actor may choose, with its prices; for None, those that anybody
    may."""
    unpriced = installation_settings().unpriced_models != "reject"
    return models_of_book(price_book(actor, clock.now()), unpriced=unpriced)


def models_of_book(book: PriceBook, *, unpriced: bool) -> list[ListedModel]:
    """Return the names of a price book by name, including free ones if `unpriced`."""
    channels = enabled_channels()
    entries: dict[str, list[BookEntry]] = {}
    for entry in book.entries:
        entries.setdefault(entry.model, []).append(entry)
    names = set(entries)
    if unpriced:
        names |= {
            route.model
            for channel in channels
            for route in channel.routes.all()
            if "*" not in route.model and lists(book.plan, route.model)
        } - book.absent
    tried = Places(channels)
    places = {
        name: (first.channel, first.upstream_name(name), frozenset(first.route.can.items()))
        for name in names
        if (first := next(tried.of(name), None)) is not None
    }
    ends = resolve_aliases(all_aliases())
    for alias, end in ends.items():
        if end in places and lists(book.plan, alias) and alias not in book.absent:
            places[alias], entries[alias] = places[end], entries.get(end, [])
    same: dict[tuple[str, str], list[str]] = {}
    for name, place in places.items():
        same.setdefault((str(place[0].id), place[1]), []).append(name)
    own_entries = all_entries()
    return [
        _build_model(
            name, places[name], entries.get(name, []), same, _find_entries(name, ends, own_entries)
        )
        for name in sorted(places)
    ]


def lists(plan: ListedPricePlan, name: str) -> bool:
    """Return whether the organisations on a plan see a model."""
    patterns = plan.model_patterns
    return not patterns or any(matches(pattern, name) for pattern in patterns)


def _build_model(
    name: str,
    place: tuple[Channel, str, Overrides],
    entries: list[BookEntry],
    same: Mapping[tuple[str, str], list[str]],
    entry_pair: tuple[ModelEntry | None, ModelEntry | None],
) -> ListedModel:
    channel, upstream, overrides = place
    own, served = entry_pair
    overrides = merge_entries(overrides_of(served), overrides)
    provider = PROVIDERS.get(channel.provider)
    can = UNKNOWN if provider is None else capabilities_of(upstream, provider, name)
    known = find_row(upstream) or find_row(name)
    if overrides and (known or has_capability(overrides)):
        can = known = apply_overrides(can if known else UNSAID, overrides)
    elif overrides:
        can = apply_overrides(can, overrides)
    owner = OWNERS.get((known or can).owner) or (gettext(provider.label) if provider else "")
    return ListedModel(
        name=name,
        owner=owner,
        known=known is not None,
        can=can,
        entry=next((entry for entry in entries if not entry.condition), None),
        entries=tuple(entries),
        aliases=tuple(sorted(set(same[str(channel.id), upstream]) - {name})),
        own_entry=own or served,
    )


def _find_entries(
    name: str, ends: Mapping[str, str], own_entries: Mapping[str, ModelEntry]
) -> tuple[ModelEntry | None, ModelEntry | None]:
    """Return the entry of a name, and the entry of the model that it is an alias of."""
    return own_entries.get(name), own_entries.get(ends.get(name, name))
