"""The immutable catalogue that the data plane works from: channels, routes, prices, settings.

It is loaded whole by one statement and swapped whole, when a notification on `weir_epoch` or the
poll of the epoch's row says that something changed. The row is the truth; the notification only
makes it quick. A request keeps the snapshot that it began with.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from uuid import UUID

from billing.limits.channel_limits import ChannelLimits
from billing.prices.multipliers import Multiplier, multiplier_for
from billing.prices.name_patterns import matches
from billing.prices.pricing import PPM
from dialects.chat.chat import Dialect
from gateway.channels.timeouts import Timeouts
from gateway.health.breaker import BreakerRule
from gateway.overrides.condition_rules import Conditions
from gateway.overrides.rules import RequestOverrides
from gateway.prices.lookup import Price, PriceList
from gateway.providers.provider import Address, Provider
from gateway.providers.signing import Signer
from gateway.public_models.entry_rules import ModelEntry, merge_entries
from gateway.routing.channel_order import Candidate, Route, plan
from gateway.routing.model_rule_bounds import ModelRule, rule_of
from lib.id_types import ChannelId, ChannelName
from lib.network.egress import EgressPolicy
from lib.network.outbound import DIRECT, Outbound


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChannel:
    """What stands in the snapshot as it is stored: columns of the channel, by the same names."""

    id: str
    name: ChannelName
    base_url: str
    retries: int
    # It ignores output caps: what it says above a hold is ours to pay, so it serves nobody who pays
    # before (I13).
    uncapped: bool = False
    zero_retention: bool = False
    region: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel(StoredChannel):
    """One way to a provider, with its secrets opened."""

    uuid: ChannelId
    provider: Provider
    address: Address
    # Those of every request, for each key (one without any, where there is none), by the dialect
    # that is spoken.
    headers: tuple[Mapping[Dialect, tuple[tuple[str, str], ...]], ...]
    # The names of a client's headers that go on.
    passed_headers: Mapping[Dialect, frozenset[bytes]]
    drain: bool
    timeouts: Timeouts
    breaker: BreakerRule
    # None where nothing is limited.
    limits: ChannelLimits | None = None
    # Which requests it is for; None = all.
    conditions: Conditions | None = None
    # What it may cost in a day and in a month, in nano.
    spend_caps: tuple[int | None, int | None] = (None, None)
    # How its keys end, and their ids; () where there is none.
    key_endings: tuple[str, ...] = ()
    key_ids: tuple[UUID, ...] = ()
    # What signs the requests by each of its keys; () where none of them is signed.
    signers: tuple[Signer | None, ...] = ()
    # None where requests go as they are.
    overrides: RequestOverrides | None = None
    # Those of models that have their own, by name or pattern.
    model_timeouts: Mapping[str, Timeouts] | None = None
    # By which way it is reached.
    outbound: Outbound = DIRECT
    # Whether its overrides have a system prompt.
    has_prompt: bool = False

    def timeouts_of(self, model: str) -> Timeouts:
        """Those of a model here: by its name, else by the longest pattern, else the channel's."""
        if self.model_timeouts is None:
            return self.timeouts
        known = self.model_timeouts.get(model)
        if known is not None:
            return known
        fitting = [name for name in self.model_timeouts if "*" in name and matches(name, model)]
        return self.model_timeouts[max(fitting, key=len)] if fitting else self.timeouts


class Plan(NamedTuple):
    """What organisations on it pay, and which models it shows them; () = all."""

    multiplier_ppm: int
    model_patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that the relay knows without asking the database."""

    # Which change of it this is as of.
    epoch: int
    channels: Mapping[str, Channel]
    exact_routes: Mapping[str, tuple[Route, ...]]
    pattern_routes: tuple[Route, ...]
    charges: PriceList
    costs: Mapping[str, PriceList]
    plans: Mapping[int, Plan]
    egress: EgressPolicy
    egress_users: EgressPolicy
    unpriced_models: str
    # By the database's clock (Unix seconds), and by our own that only goes forward.
    loaded_at: float
    loaded_at_here: float
    created: int
    # The ids and names of the channels that were left out.
    unusable: tuple[tuple[str, str], ...] = ()
    # Whether any of them does not serve every request.
    selective: bool = False
    # Whether any channel has limits.
    limited: bool = False
    # Those whose spend has a cap.
    spend_capped: frozenset[str] = frozenset()
    # What operators rule for models, and whether any of it is what abandoned requests are charged.
    rules: tuple[ModelRule, ...] = ()
    charge_ruled: bool = False
    # Whether requests of any model go to a shadow too.
    shadowed: bool = False
    # Names that stand for others, each with the one at the end of its way.
    aliases: Mapping[str, str] = field(default_factory=dict)
    # Members of usage that operators count as free, by provider and table of members.
    accepted: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)
    # What operators state of models, by name.
    entries: Mapping[str, ModelEntry] = field(default_factory=dict)
    _known: dict[str, "_Matched"] = field(default_factory=dict)

    def now(self) -> float:
        """The database's clock (Unix seconds), by which prices and keys are valid; a step of our
        own clock does not move it."""
        return self.loaded_at + time.monotonic() - self.loaded_at_here

    def channel_named(self, name: str) -> Channel | None:
        """The channel of that name; None where there is none in use."""
        return next((item for item in self.channels.values() if item.name == name), None)

    def served_name(self, model: str) -> str:
        """The name that a name stands for: its own, unless it is an alias."""
        return self.aliases.get(model, model)

    def routes_of(self, model: str) -> Sequence[Route]:
        """Every route that may serve a model; `routing.plan` puts them in order."""
        return self._match(model).routes

    def only_candidate(self, model: str) -> list[Candidate]:
        """The plan for a model that one route serves, for which nothing is to be drawn; else []."""
        return self._match(model).only

    def rule_of(self, model: str) -> ModelRule:
        """What operators rule for a model."""
        return self._match(model).rule

    def price_of(self, model: str, multiplier_ppm: int = PPM) -> Price | None:
        """The price in force, multiplied; an exact name beats the longest pattern."""
        price = self.charges.find(self._match(model).price_names, self.now())
        return None if price is None else price.multiplied(multiplier_ppm)

    def multiplier_for(
        self, model: str, plan_id: int | None, multipliers: Sequence[Multiplier]
    ) -> int:
        """What a request for a model is multiplied by, for who is on a plan, or subscribed to one
        with multipliers of its own."""
        plan = None if plan_id is None else self.plans.get(plan_id)
        return multiplier_for(multipliers, model, PPM if plan is None else plan.multiplier_ppm)

    def dearest_like(self, model: str) -> tuple[str, ...]:
        """The priced model whose output is the dearest of those that are named by the same first
        word, for a request whose provider chooses one of its own; none where no other is priced."""
        family = model.split("-")[0] + "-"
        rates = {
            name: max(price.bound.rates.get("out_text", 0), price.bound.rates.get("in_text", 0))
            for name in self.charges.names
            if name.startswith(family) and "*" not in name
            and (price := self.price_of(name)) is not None
        }  # fmt: skip
        return (max(rates, key=lambda name: rates[name]),) if rates else ()

    def cost_of(self, model: str, channel: str) -> Price | None:
        """What a model costs us on a channel now: by the channel's own price, else by any's."""
        for name in (channel, ""):
            costs = self.costs.get(name)
            price = None if costs is None else costs.find(costs.names_for(model), self.now())
            if price is not None:
                return price
        return None

    def answering(self, model: str) -> str | None:
        """The name that answers for a name now: at the end of its alias, and of the replacements
        of what has ended. None where that leads nowhere."""
        now, passed = self.now(), set[str]()
        while model not in passed:
            passed.add(model)
            entry = self.entries.get(model)
            if entry is None or not entry.ended(now):
                if model not in self.aliases:
                    return model
                model = self.aliases[model]
            elif entry.forwards:
                model = entry.replacement
            else:
                return None
        return None

    def has_ended(self, model: str) -> bool:
        """Whether the sunset of a name has come, be it served or not."""
        entry = self.entries.get(model)
        return entry is not None and entry.ended(self.now())

    def notices_of(self, model: str) -> tuple[tuple[str, str], ...]:
        """The headers that tell of the end of a model, by its name or by the one that it stands
        for."""
        for name in (model, self.served_name(model)):
            notices = self.entries[name].notices(self.now()) if name in self.entries else ()
            if notices:
                return notices
        return ()

    def shows(self, model: str, plan_id: int | None, role: str) -> bool:
        """Whether a model is there for who is on a plan, in a role."""
        entry = self.entries.get(model)
        if entry is not None and not entry.visible_to(plan_id, role):
            return False
        plan = None if plan_id is None else self.plans.get(plan_id)
        patterns = () if plan is None else plan.model_patterns
        return not patterns or any(matches(pattern, model) for pattern in patterns)

    def refuses(self, model: str) -> bool:
        """Whether every request for a model is refused now, because it has no price."""
        return self.unpriced_models == "reject" and self.price_of(model) is None

    def _match(self, model: str) -> "_Matched":
        """What stands for a model; remembered, for a catalogue may have hundreds of patterns."""
        known = self._known.get(model)
        if known is None:
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            requested, model = model, self.served_name(model)
            routes = (
                *self.exact_routes.get(model, ()),
                *(route for route in self.pattern_routes if matches(route.model, model)),
            )
            entry = self.entries.get(model)
            if entry is not None and entry.overrides:
                routes = tuple(
                    replace(route, overrides=merge_entries(entry.overrides, route.overrides))
                    for route in routes
                )
            known = self._known[requested] = _Matched(
                routes,
                plan(model, routes, seed=0) if len(routes) == 1 else [],
                self.charges.names_for(model),
                rule_of(model, self.rules),
            )
        return known

    def listed_models(self) -> list[str]:
        """The names that can be asked: those of routes, and priced ones that a pattern meets."""
        names = set(self.exact_routes)
        for name in self.charges.names:
            if "*" not in name and any(matches(route.model, name) for route in self.pattern_routes):
                names.add(name)
        names |= {name for name in self.aliases if self.routes_of(name)}
        return sorted(names)


class _Matched(NamedTuple):
    routes: tuple[Route, ...]
    only: list[Candidate]
    price_names: tuple[str, ...]
    rule: ModelRule


# Clients choose the names that patterns meet: what is remembered of them has a bound.
_KNOWN_MAX = 4096
EMPTY = Snapshot(
    epoch=-1,
    channels={},
    exact_routes={},
    pattern_routes=(),
    charges=PriceList(()),
    costs={},
    plans={},
    egress=EgressPolicy(),
    egress_users=EgressPolicy(),
    unpriced_models="reject",
    loaded_at=0.0,
    loaded_at_here=0.0,
    created=0,
)
