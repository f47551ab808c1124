"""Every name that a client can request, for operators: which channels serve it, what is known about
it, and whether it has a price."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from billing.prices.name_patterns import matches
from billing.prices.prices import ListedPrice
from billing.prices.proposals import list_proposals
from gateway.aliases.aliases import all_aliases
from gateway.aliases.rules import resolve_aliases
from gateway.channels.served_models import (
    ServedModel,
    Server,
    price_of,
    prices_in_force,
    served_models,
)
from gateway.listed_models.shown_models import are_senses_known, capabilities_in
from gateway.model_entries.entries import all_entries, overrides_of
from gateway.model_entries.facts import FIELDS, Fact, Field
from gateway.model_entries.rules import merge_entries
from gateway.models import ModelEntry
from gateway.providers import PROVIDERS
from gateway.providers.capabilities import UNKNOWN, Capabilities
from gateway.providers.models import capabilities_of, find_row
from gateway.providers.overrides import UNSAID, Overrides, apply_overrides, has_capability
from lib import clock

PriceState = Literal["priced", "draft", "missing"]
Standing = Literal["current", "alias", "deprecated", "retired"]
_SENSES: Final[frozenset[Field]] = frozenset({"vision", "audio", "files"})
_CAPABILITIES: Final = _SENSES | frozenset[Field]({"tools", "schema", "reasoning"})


@dataclass(frozen=True, slots=True)
class PublicModel:
    """A name, or a pattern of names. `target` is the model of an alias, "" for another name.
    `listed`: the catalogue knows the model; `overrides` are the operators' corrections; without
    either, `can` has defaults. `aliases` are the names that lead to this one."""

    name: str
    target: str
    servers: tuple[Server, ...]
    price: ListedPrice | None
    priced: tuple[str, ...]
    drafted: bool
    listed: bool
    overrides: Overrides
    can: Capabilities
    entry: ModelEntry | None
    aliases: tuple[str, ...]

    @property
    def pattern(self) -> bool:
        return "*" in self.name

    @property
    def known(self) -> bool:
        """Whether the model's capabilities are known, and not just defaults."""
        return self.listed or has_capability(self.overrides)

    @property
    def price_state(self) -> PriceState:
        if self.price is not None or self.priced:
            return "priced"
        return "draft" if self.drafted else "missing"


def public_models() -> list[PublicModel]:
    """Return the names of routes, of aliases and of entries; then the patterns."""
    return _Reader().models()


def public_model(name: str) -> PublicModel | None:
    """Return a model, including one that only a pattern matches. None if no channel serves it and
    it has no entry."""
    return _Reader().model(name)


def availability_of(model: PublicModel) -> Standing:
    """Return the model's current state. If an alias has its own end, that end decides."""
    entry, now = model.entry, clock.now()
    if entry is not None and entry.sunset_at is not None and entry.sunset_at <= now:
        return "retired"
    if entry is not None and entry.deprecated_at is not None and entry.deprecated_at <= now:
        return "deprecated"
    return "alias" if model.target else "current"


def effective_facts(model: PublicModel) -> dict[Field, Fact | None]:
    """Return a model's facts from its entry, or else from the catalogue. None means unknown."""
    facts: dict[Field, Fact | None] = dict.fromkeys(FIELDS)
    can, entry = model.can, model.entry
    facts["context_max"], facts["output_max"] = can.context_max, can.output_max
    if entry is not None and entry.sunset_at is not None:
        facts["sunset_at"] = entry.sunset_at.date().isoformat()
    overrides_set, has, listed = dict(model.overrides), capabilities_in(can), frozenset[Field]()
    if model.listed:
        listed = _CAPABILITIES if are_senses_known(can) else _CAPABILITIES - _SENSES
    for field in _CAPABILITIES:
        if field in overrides_set or field in listed:
            facts[field] = bool(overrides_set.get(field, field in has))
    return facts


class _Reader:
    """Reads everything about all names once."""

    def __init__(self) -> None:
        self._served = {model.name: model for model in served_models()}
        self._aliases = all_aliases()
        self._ends = resolve_aliases(self._aliases)
        self._entries = all_entries()
        self._prices = prices_in_force()
        self._drafted = {
            proposal.key.model
            for proposal in list_proposals()
            if proposal.key.kind == "charge" and proposal.row.rates is not None
        }
        self._leading: dict[str, list[str]] = {}
        for alias, end in self._ends.items():
            if end != alias:
                self._leading.setdefault(end, []).append(alias)

    def models(self) -> list[PublicModel]:
        names = {*self._served, *self._aliases, *self._entries}
        ordered = sorted(names, key=lambda name: ("*" in name, name))
        return [self._model(name) for name in ordered]

    def model(self, name: str) -> PublicModel | None:
        known = name in self._served or name in self._aliases or name in self._entries
        model = self._model(name)
        return model if known or model.servers else None

    def _model(self, name: str) -> PublicModel:
        end = self._ends.get(name, name)
        servers = self._servers(end)
        served = self._served.get(name)
        can, listed, overrides = self._can(end, servers)
        return PublicModel(
            name=name,
            target=end if name in self._aliases else "",
            servers=servers,
            price=served.price if served and served.pattern else price_of(end, self._prices),
            priced=tuple(served.priced) if served else (),
            drafted=end in self._drafted,
            listed=listed,
            overrides=overrides,
            can=can,
            entry=self._entries.get(name),
            aliases=tuple(sorted(self._leading.get(name, ()))),
        )

    def _servers(self, name: str) -> tuple[Server, ...]:
        by_id: dict[str, Server] = {}
        for server in _serving(name, self._served.values()):
            by_id.setdefault(server.id, server)
        return tuple(by_id.values())

    def _can(self, name: str, servers: Iterable[Server]) -> tuple[Capabilities, bool, Overrides]:
        """Return the capabilities at the channel that is tried first, whether they are known, and
        the operator's overrides."""
        first = next(
            (server for server in servers if server.channel.enabled), next(iter(servers), None)
        )
        overrides = overrides_of(self._entries.get(name))
        row, can = find_row(name), UNKNOWN
        if first is not None:
            upstream = first.upstream_model or name
            provider = PROVIDERS.get(first.channel.provider)
            row = find_row(upstream) or row
            if provider is not None:
                can = capabilities_of(upstream, provider, name)
            overrides = merge_entries(overrides, first.can.items())
        elif row is not None:
            can = row
        if row is None and has_capability(overrides):
            can = UNSAID
        return apply_overrides(can, overrides), row is not None, overrides


def _serving(name: str, served: Iterable[ServedModel]) -> Iterable[Server]:
    """Yield the channels of the name itself, then those of a pattern that matches it."""
    models = list(served)
    for model in models:
        if model.name == name:
            yield from model.servers
    if "*" not in name:
        for model in models:
            if model.pattern and matches(model.name, name):
                yield from model.servers
