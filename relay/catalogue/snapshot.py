"""The immutable catalogue of the data plane: channels, routes, prices, settings. One statement
loads all of it, and it is replaced as a whole when a notification on `weir_epoch`, or the poll of
the epoch's row, reports a change. The row is authoritative; the notification only speeds it up. A
request keeps the snapshot that it began with.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from uuid import UUID

from billing.limits.channel_limits import ChannelLimits
from billing.prices.lookup import Price, PriceList
from billing.prices.multipliers import Multiplier, multiplier_for
from billing.prices.name_patterns import matches
from billing.prices.own_key_fee import OwnKeyFee
from billing.prices.pricing import PPM
from dialects.chat.chat import Dialect
from gateway.breaker.breaker import BreakerRule
from gateway.channel_order.channel_order import Candidate, Route, plan
from gateway.channels.overrides.condition_rules import Conditions
from gateway.channels.overrides.rules import RequestOverrides
from gateway.channels.passthrough.rules import PassThroughRule
from gateway.channels.timeouts import Timeouts
from gateway.model_entries.rules import ModelEntry, merge_entries
from gateway.own_keys.routes import OwnKeyRoute
from gateway.providers.cloud_credentials.credentials import CredentialSource
from gateway.providers.cloud_places import priced_in
from gateway.providers.provider import Address, Provider
from gateway.providers.signing import Signer
from gateway.routing.model_rule_bounds import ModelRule, rule_of
from lib.database.database_clock import DatabaseClock
from lib.id_types import ChannelId, ChannelName
from lib.network.egress import EgressPolicy
from lib.network.outbound import DIRECT, Outbound
from relay.catalogue.off_channels import OffChannel


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChannel:
    """The columns of a channel that the snapshot copies unchanged, by the same names."""

    id: str
    name: ChannelName
    base_url: str
    retries: int
    # The channel ignores output caps. The installation pays for output above a hold, so the channel
    # serves no prepaid customer (I13).
    uncapped: bool = False
    zero_retention: bool = False
    region: str = ""


class OwnKeyTerms(NamedTuple):
    """The terms of a channel with an organisation's own key: the key's id, and the fee."""

    key_id: UUID
    fee: OwnKeyFee


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel(StoredChannel):
    """One way to a provider, with its secrets decrypted."""

    uuid: ChannelId
    provider: Provider
    address: Address
    # The headers of every request, for each key (one without a key if there is none), by dialect.
    headers: tuple[Mapping[Dialect, tuple[tuple[str, str], ...]], ...]
    # The names of the client's headers that are forwarded.
    passed_headers: Mapping[Dialect, frozenset[bytes]]
    drain: bool
    timeouts: Timeouts
    breaker: BreakerRule
    # The channel's limits; None without any.
    limits: ChannelLimits | None = None
    # The requests that it serves; None = all.
    conditions: Conditions | None = None
    # The channel's maximum cost per day and per month, in nano.
    spend_caps: tuple[int | None, int | None] = (None, None)
    # The last characters of its keys, and their ids; () if there is none.
    key_endings: tuple[str, ...] = ()
    key_ids: tuple[UUID, ...] = ()
    # The signers of requests, by key; () if requests are not signed.
    signers: tuple[Signer | None, ...] = ()
    # The sources of temporary credentials, by key; () if the keys themselves are used.
    credential_sources: tuple[CredentialSource | None, ...] = ()
    # The changes to requests; None without any.
    overrides: RequestOverrides | None = None
    # The timeouts of models that have their own, by name or pattern.
    model_timeouts: Mapping[str, Timeouts] | None = None
    # The network route by which it is reached.
    outbound: Outbound = DIRECT
    # Whether the channel's overrides have a system prompt.
    has_prompt: bool = False
    # Set if its key is an organisation's own. It then has the channel's `uuid`, but an `id` of its
    # own, by which health, connections and stored answers are kept apart from the channel's.
    own: OwnKeyTerms | None = None
    # The provider's paths that clients may call unchanged.
    path_rules: tuple[PassThroughRule, ...] = ()

    def priced_in(self, upstream_model: str) -> Sequence[str] | None:
        """Return the regions by which its provider prices a model, as `cloud_places.priced_in`."""
        return priced_in(self.provider.place, self.base_url, self.region, upstream_model)

    def timeouts_of(self, model: str) -> Timeouts:
        """Return the timeouts of a model at this channel: those for its name, else for the longest
        pattern, else the channel's."""
        if self.model_timeouts is None:
            return self.timeouts
        known = self.model_timeouts.get(model)
        if known is not None:
            return known
        fitting = [name for name in self.model_timeouts if "*" in name and matches(name, model)]
        return self.model_timeouts[max(fitting, key=len)] if fitting else self.timeouts


class PricePlan(NamedTuple):
    """A price plan: a multiplier on the prices of the organisations on it, and the models that it
    shows to them; () = all."""

    multiplier_ppm: int
    model_patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that the relay knows without querying the database."""

    # The epoch that it was loaded at.
    epoch: int
    channels: Mapping[str, Channel]
    exact_routes: Mapping[str, tuple[Route, ...]]
    pattern_routes: tuple[Route, ...]
    charges: PriceList
    costs: Mapping[str, PriceList]
    price_plans: Mapping[int, PricePlan]
    egress: EgressPolicy
    egress_users: EgressPolicy
    unpriced_models: str
    clock: DatabaseClock
    created: int
    # The ids and names of the channels that were omitted.
    unusable: tuple[tuple[str, str], ...] = ()
    # The channels that no request can use now.
    off: tuple[OffChannel, ...] = ()
    # The prices of pass-through rules, by the channel's name and the rule's label.
    path_prices: Mapping[str, PriceList] = field(default_factory=dict)
    # The costs of these paths, likewise.
    path_costs: Mapping[str, PriceList] = field(default_factory=dict)
    # Whether a request that names no session belongs to one by the beginning of its conversation.
    prefix_sessions: bool = False
    # Whether any channel has conditions for requests.
    selective: bool = False
    # Whether any channel has limits.
    limited: bool = False
    # The channels with a spending cap.
    spend_capped: frozenset[str] = frozenset()
    # The operators' rules for models, and whether any of them is a charge rule for abandoned
    # requests.
    rules: tuple[ModelRule, ...] = ()
    charge_ruled: bool = False
    # Whether any model has a shadow.
    shadowed: bool = False
    # Aliases, each with its final target.
    aliases: Mapping[str, str] = field(default_factory=dict)
    # The ids of the organisations and teams in conditions of channels' overrides, by their slugs.
    holder_ids: Mapping[str, UUID] = field(default_factory=dict)
    # Members of usage that operators count as free, by provider and table of members.
    accepted: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)
    # The operators' properties of models, by name.
    entries: Mapping[str, ModelEntry] = field(default_factory=dict)
    # The enabled own keys, by organisation; the channels with them are in `channels`, but in no
    # route.
    own_keys: Mapping[UUID, tuple[OwnKeyRoute, ...]] = field(default_factory=dict)
    _known: dict[str, "_Matched"] = field(default_factory=dict)

    def now(self) -> float:
        """Return the time by the database's clock (Unix seconds). Prices and keys are valid by that
        clock, so changing our own does not affect them."""
        return time.monotonic() + self.clock.ahead_s

    def channel_named(self, name: str) -> Channel | None:
        """Return the enabled channel with that name, or None."""
        return next(
            (item for item in self.channels.values() if item.name == name and item.own is None),
            None,
        )

    def served_name(self, model: str) -> str:
        """Return the target of an alias; any other name is returned as it is."""
        return self.aliases.get(model, model)

    def routes_of(self, model: str) -> Sequence[Route]:
        """Return every route that may serve a model; `routing.plan` orders them."""
        return (self._known.get(model) or self._match(model)).routes

    def only_candidate(self, model: str) -> list[Candidate]:
        """Return the plan for a model with a single route, which needs no random order; else []."""
        return (self._known.get(model) or self._match(model)).only

    def off_channels(self, model: str) -> Sequence[OffChannel]:
        """Return the channels that would serve a model if they were on; () for a model that another
        channel serves now."""
        return (self._known.get(model) or self._match(model)).off

    def rule_of(self, model: str) -> ModelRule:
        """Return the operators' rule for a model."""
        return (self._known.get(model) or self._match(model)).rule

    def price_of(self, model: str, multiplier_ppm: int = PPM) -> Price | None:
        """Return the price in force, multiplied; an exact name takes precedence over the longest
        pattern.
        """
        known = self._known.get(model) or self._match(model)
        price = self.charges.find(known.price_names, self.now())
        if price is None or multiplier_ppm == PPM:
            return price
        return price.multiplied(multiplier_ppm)

    def price_on(
        self, model: str, channel: Channel, upstream_model: str, multiplier_ppm: int = PPM
    ) -> Price | None:
        """Return the price in force for a model as this channel serves it, multiplied; None without
        a price, or if the region that the price depends on is unknown."""
        price = self.price_of(model, multiplier_ppm)
        if price is not None and price.regions:
            price = price.served_in(channel.priced_in(upstream_model))
        return None if price is None or price.unplaced else price

    def multiplier_for(
        self, model: str, price_plan_id: int | None, multipliers: Sequence[Multiplier]
    ) -> int:
        """Return the price multiplier of a request for a model: of the customer's plan, or of a
        subscription with its own multipliers."""
        plan = None if price_plan_id is None else self.price_plans.get(price_plan_id)
        of_plan = PPM if plan is None else plan.multiplier_ppm
        return multiplier_for(multipliers, model, of_plan) if multipliers else of_plan

    def dearest_like(self, model: str) -> tuple[str, ...]:
        """Return the priced model with the most expensive output among those whose names begin with
        the same word, for a request whose provider chooses the model; empty if no other is
        priced."""
        family = model.split("-")[0] + "-"
        rates = {
            name: max(price.bound.rates.get("out_text", 0), price.bound.rates.get("in_text", 0))
            for name in self.charges.names
            if name.startswith(family) and "*" not in name
            and (price := self.price_of(name)) is not None
        }  # fmt: skip
        return (max(rates, key=lambda name: rates[name]),) if rates else ()

    def path_price(self, channel: str, label: str, multiplier_ppm: int) -> Price | None:
        """Return the price in force of a channel's pass-through rule, multiplied."""
        price = self._of_path(self.path_prices, channel, label)
        return None if price is None else price.multiplied(multiplier_ppm)

    def path_cost(self, channel: str, label: str) -> Price | None:
        """Return our cost in force of a channel's pass-through rule."""
        return self._of_path(self.path_costs, channel, label)

    def _of_path(self, lists: Mapping[str, PriceList], channel: str, label: str) -> Price | None:
        prices = lists.get(channel)
        # A label is a name here, although it may look like a pattern.
        if prices is None or label not in prices.names:
            return None
        return prices.find((label,), self.now())

    def cost_of(self, model: str, channel: Channel, upstream_model: str) -> Price | None:
        """Return our cost of a model on a channel now: the channel's own price, else the general
        one, in the region of the channel and the upstream's name. None if the cost is unknown."""
        for name in (channel.name, ""):
            costs = self.costs.get(name)
            price = None if costs is None else costs.find(costs.names_for(model), self.now())
            if price is not None:
                if price.regions:
                    price = price.served_in(channel.priced_in(upstream_model))
                return None if price.unplaced else price
        return None

    def answering(self, model: str) -> str | None:
        """Return the model that answers for a name now, after aliases and the replacements of
        retired models. None if no model does."""
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
        """Return whether the retirement date of a name has passed, whether or not it is still
        served."""
        entry = self.entries.get(model)
        return entry is not None and entry.ended(self.now())

    def notices_of(self, model: str) -> tuple[tuple[str, str], ...]:
        """Return the headers about the retirement of a model, found by its name or by its alias's
        target."""
        for name in (model, self.served_name(model)):
            notices = self.entries[name].notices(self.now()) if name in self.entries else ()
            if notices:
                return notices
        return ()

    def shows(self, model: str, price_plan_id: int | None, role: str) -> bool:
        """Return whether a model is visible to customers on a plan, and in a role."""
        entry = self.entries.get(model)
        if entry is not None and not entry.visible_to(price_plan_id, role):
            return False
        plan = None if price_plan_id is None else self.price_plans.get(price_plan_id)
        patterns = () if plan is None else plan.model_patterns
        return not patterns or any(matches(pattern, model) for pattern in patterns)

    def refuses(self, model: str) -> bool:
        """Return whether every request for a model is refused now, because it has no price."""
        return self.unpriced_models == "reject" and self.price_of(model) is None

    def _match(self, model: str) -> "_Matched":
        """Find the entry for a model, and keep it in `_known`, because a catalogue may have
        hundreds of patterns.
        """
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
            () if routes else self._find_off(model),
        )
        return known

    def _find_off(self, model: str) -> tuple[OffChannel, ...]:
        """Return the channels that are off and would list the model. A pattern stands only for
        priced names, as in `listed_models`: it must not make every misspelt name a known model."""
        priced = model in self.charges.names
        return tuple(
            one
            for one in self.off
            if model in one.models or (priced and any(matches(name, model) for name in one.models))
        )

    def listed_models(self) -> list[str]:
        """Return the names that can be requested: those of routes, and priced ones that match a
        pattern.
        """
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
    off: tuple[OffChannel, ...]


# Limited, because clients choose the names that match patterns.
_KNOWN_MAX = 4096
EMPTY = Snapshot(
    epoch=-1,
    channels={},
    exact_routes={},
    pattern_routes=(),
    charges=PriceList(()),
    costs={},
    price_plans={},
    egress=EgressPolicy(),
    egress_users=EgressPolicy(),
    unpriced_models="reject",
    clock=DatabaseClock(),
    created=0,
)
