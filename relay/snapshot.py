"""The immutable catalogue that the data plane works from: channels, routes, prices, settings.

It is loaded whole by one statement and swapped whole, when a notification on `weir_epoch` or the
poll of the epoch's row says that something changed. The row is the truth; the notification only
makes it quick. A request keeps the snapshot that it began with.
"""

import base64
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from billing.rules.channel_limits import ChannelLimits
from billing.rules.charge_rule import read_rule
from billing.rules.patterns import matches
from dialects.chat import Dialect
from gateway.price_lookup import Price, PriceList, PriceRow
from gateway.providers import UnknownProvider, provider_named
from gateway.providers.provider import USER_AGENT, Address, BadAddress, Provider
from gateway.providers.signing import Signer
from gateway.rules.aliases import resolved
from gateway.rules.breaker import BreakerRule
from gateway.rules.channel_conditions import Conditions, compiled
from gateway.rules.model_entries import ModelEntry, merged, overrides_of
from gateway.rules.model_rules import CAUSES, ModelRule, rule_of
from gateway.rules.picks import PICKS, Pick
from gateway.rules.request_overrides import RequestOverrides, read_overrides
from gateway.rules.routing import Candidate, Route, plan
from gateway.rules.shadow import read_shadow
from gateway.rules.timeouts import Timeouts
from lib.egress import EgressPolicy
from lib.outbound import DIRECT, BadProxy, Outbound, read_proxy
from lib.vault import Vault, VaultError

log = logging.getLogger(__name__)

Statement = tuple[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to a provider, with its secrets opened."""

    id: str
    uuid: UUID
    name: str
    provider: Provider
    base_url: str
    address: Address
    # Those of every request, for each key (one without any, where there is none), by the dialect
    # that is spoken.
    headers: tuple[Mapping[Dialect, tuple[tuple[str, str], ...]], ...]
    # The names of a client's headers that go on.
    passed_headers: Mapping[Dialect, frozenset[bytes]]
    retries: int
    drain: bool
    timeouts: Timeouts
    breaker: BreakerRule
    # It ignores output caps: what it says above a hold is ours to pay, so it serves nobody who pays
    # before (I13).
    uncapped: bool = False
    # None where nothing is limited.
    limits: ChannelLimits | None = None
    # Which requests it is for; None = all.
    conditions: Conditions | None = None
    zero_retention: bool = False
    region: str = ""
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

    def price_of(self, model: str, plan_id: int | None = None) -> Price | None:
        """The price in force for who is on a plan; an exact name beats the longest pattern."""
        price = self.charges.find(self._match(model).price_names, self.now())
        if price is None or plan_id is None or plan_id not in self.plans:
            return price
        return price.multiplied(self.plans[plan_id].multiplier_ppm)

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
                    replace(route, overrides=merged(entry.overrides, route.overrides))
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
    -1, {}, {}, (), PriceList(()), {}, {}, EgressPolicy(), EgressPolicy(), "reject", 0.0, 0.0, 0
)


def load_statement() -> Statement:
    """One row with one text: everything as JSON, all of one instant."""
    return _LOAD, {}


def epoch_statement() -> Statement:
    """One row: the epoch, and what the database's clock says (Unix seconds)."""
    return _EPOCH, {}


def secret_check_statement() -> Statement:
    """What tells the secrets of this database from others, as hex, and the ids of the KEKs that it
    needs, with commas between them; no row where nobody has written it down."""
    return (
        "SELECT encode(sealed, 'hex'), array_to_string(kek_ids, ',') FROM accounts_secretcheck",
        {},
    )


def needed_kek_statement(id: str) -> Statement:
    """Say that something may be sealed with a KEK from now on."""
    return (
        "UPDATE accounts_secretcheck SET kek_ids = kek_ids || %(id)s::varchar(8) "
        "WHERE NOT kek_ids @> ARRAY[%(id)s::varchar(8)]",
        {"id": id},
    )


def missing_statement(migrations: Sequence[tuple[str, str]]) -> Statement:
    """One row: how many of these migrations the database lacks."""
    return _MISSING, {
        "apps": "{" + ",".join(app for app, _ in migrations) + "}",
        "names": "{" + ",".join(name for _, name in migrations) + "}",
    }


def build(text: str, vault: Vault) -> Snapshot:
    """The snapshot of what `load_statement` gave.

    A channel or price that cannot be used is left out and logged, never guessed: its models then
    have one route less, the others are not harmed.
    """
    raw = msgspec.json.decode(text, type=_Catalogue)
    channels: dict[str, Channel] = {}
    routes: list[Route] = []
    unusable: list[tuple[str, str]] = []
    plan_ids = {plan.name: plan.id for plan in raw.plans}
    for row in raw.channels:
        try:
            channel = replace(
                _channel(row, _opened(row, vault)),
                outbound=_outbound(row, vault),
                conditions=compiled(row.conditions, plan_ids, raw.condition_holders),
            )
        except _UNUSABLE as error:
            log.error("channel %s is out of use: %s", row.name, error)
            unusable.append((row.id, row.name))
            continue
        channels[channel.id] = channel
        routes += _routes(row)
    cost_rows: dict[str, list[PriceRow]] = {}
    for price in raw.prices:
        if price.kind == "cost":
            cost_rows.setdefault(price.channel, []).append(price)
    rules = tuple(_rule(row) for row in raw.rules)
    exact: dict[str, tuple[Route, ...]] = {}
    for route in routes:
        if "*" not in route.model:
            exact[route.model] = (*exact.get(route.model, ()), route)
    return Snapshot(
        epoch=raw.epoch,
        channels=channels,
        exact_routes=exact,
        pattern_routes=tuple(route for route in routes if "*" in route.model),
        charges=PriceList(row for row in raw.prices if row.kind == "charge"),
        costs={channel: PriceList(rows) for channel, rows in cost_rows.items()},
        plans={plan.id: Plan(plan.multiplier_ppm, tuple(plan.models)) for plan in raw.plans},
        egress=EgressPolicy(raw.egress_allow),
        egress_users=EgressPolicy(raw.egress_allow_users),
        unpriced_models=raw.unpriced_models,
        loaded_at=raw.now,
        loaded_at_here=time.monotonic(),
        created=int(raw.changed),
        unusable=tuple(unusable),
        selective=any(
            channel.uncapped or channel.conditions is not None for channel in channels.values()
        ),
        limited=any(channel.limits is not None for channel in channels.values()),
        spend_capped=frozenset(
            channel.id for channel in channels.values() if channel.spend_caps != (None, None)
        ),
        rules=rules,
        charge_ruled=any(rule.charge_rule is not None for rule in rules),
        shadowed=any(rule.shadow is not None for rule in rules),
        aliases=resolved(raw.aliases),
        entries={
            entry.name: entry
            for entry in (_entry(row, plan_ids) for row in raw.entries)
            # One that a probe alone has left states nothing.
            if entry != ModelEntry(entry.name)
        },
    )


# What a channel is left out for.
_UNUSABLE = (UnknownProvider, BadAddress, BadProxy, VaultError, msgspec.ValidationError)


class RouteRow(msgspec.Struct):
    """A model that a channel serves, as it is stored."""

    model: str
    upstream_model: str
    can: dict[str, bool] = {}
    priority: int | None = None
    weight: int | None = None
    timeouts: dict[str, float] = {}


class ChannelRow(msgspec.Struct):
    """A channel as it is stored; `keys` are their ids, sealed secrets and endings."""

    id: str
    name: str
    provider: str
    base_url: str
    priority: int
    weight: int
    retries: int
    on_leave: str
    timeouts: dict[str, float]
    breaker: dict[str, Any]
    keys: list[tuple[str, str, str]]
    routes: list[RouteRow]
    uncapped: bool = False
    names_client: bool = True
    rpm: int | None = None
    tpm: int | None = None
    parallel: int | None = None
    spend_cap_day_nano: int | None = None
    spend_cap_month_nano: int | None = None
    conditions: dict[str, Any] = {}
    zero_retention: bool = False
    region: str = ""
    overrides: dict[str, Any] = {}
    proxy_url: str = ""
    proxy_login: str | None = None
    ca_bundle: str = ""
    client_cert: str = ""
    client_key: str | None = None


class _PlanRow(msgspec.Struct):
    id: int
    name: str
    multiplier_ppm: int
    models: list[str]


class _RuleRow(msgspec.Struct):
    model: str
    fallbacks: list[str]
    causes: list[str]
    pick: str
    charge_rule: dict[str, Any] = {}
    shadow: dict[str, Any] = {}


class _EntryRow(msgspec.Struct):
    name: str
    can: dict[str, bool]
    context_max: int | None
    output_max: int | None
    deprecated_at: float | None
    sunset_at: float | None
    replacement: str
    forwards: bool
    plans: list[str]
    roles: list[str]


class _Catalogue(msgspec.Struct):
    now: float
    changed: float
    epoch: int
    egress_allow: list[str]
    egress_allow_users: list[str]
    unpriced_models: str
    channels: list[ChannelRow]
    prices: list[PriceRow]
    plans: list[_PlanRow]
    rules: list[_RuleRow]
    aliases: dict[str, str]
    entries: list[_EntryRow]
    # The ids of the organisations and teams that conditions of channels name.
    condition_holders: dict[str, UUID]


def alone(snapshot: Snapshot, row: ChannelRow, secret: str) -> tuple[Snapshot, Channel]:
    """A channel with this for its key, and a catalogue in which there is no other. Raises
    UnknownProvider, BadAddress."""
    channel, routes = _channel(row, [secret or None]), _routes(row)
    exact: dict[str, tuple[Route, ...]] = {}
    for route in routes:
        exact[route.model] = (*exact.get(route.model, ()), route)
    only = replace(
        snapshot,
        channels={channel.id: channel},
        exact_routes=exact,
        pattern_routes=tuple(route for route in routes if "*" in route.model),
        _known={},
    )
    return only, channel


def _routes(row: ChannelRow) -> list[Route]:
    return [
        Route(
            row.id,
            route.model,
            route.upstream_model,
            row.priority if route.priority is None else route.priority,
            row.weight if route.weight is None else route.weight,
            row.retries,
            frozenset(route.can.items()),
        )
        for route in row.routes
    ]


def _opened(row: ChannelRow, vault: Vault) -> list[str | None]:
    """The secrets of a channel's keys. Raises VaultError."""
    # The place that gateway/channels.py sealed the key for.
    return [
        vault.open(base64.b64decode(sealed), f"gateway_channelkey|{key_id}|sealed")
        for key_id, sealed, _ in row.keys
    ]


def _outbound(row: ChannelRow, vault: Vault) -> Outbound:
    """By which way a channel is reached. Raises VaultError, BadProxy."""

    def opened(sealed: str | None, column: str) -> str:
        if sealed is None:
            return ""
        return vault.open(base64.b64decode(sealed), f"gateway_channel|{row.id}|{column}")

    if not row.proxy_url and not row.ca_bundle and not row.client_cert:
        return DIRECT
    login, key = opened(row.proxy_login, "proxy_login"), opened(row.client_key, "client_key")
    proxy = read_proxy(row.proxy_url, login) if row.proxy_url else None
    return Outbound(proxy, row.ca_bundle, row.client_cert, key)


def _channel(row: ChannelRow, secrets: Sequence[str | None]) -> Channel:
    provider, overrides = provider_named(row.provider), read_overrides(row.overrides)
    return Channel(
        id=row.id,
        uuid=UUID(row.id),
        name=row.name,
        provider=provider,
        base_url=row.base_url,
        address=provider.address(row.base_url),
        headers=tuple(
            {
                dialect: tuple(provider.headers(secret, dialect).items())
                for dialect in provider.dialects
            }
            for secret in secrets or [None]
        ),
        key_endings=tuple(last4 for _, _, last4 in row.keys),
        key_ids=tuple(UUID(key_id) for key_id, _, _ in row.keys),
        signers=(
            ()
            if provider.signer is None
            else tuple(provider.signer_of(secret) for secret in secrets)
        ),
        passed_headers={
            dialect: frozenset(
                name.encode()
                for name in (*spoken.passed_headers, *((USER_AGENT,) if row.names_client else ()))
            )
            for dialect, spoken in provider.dialects.items()
        },
        retries=row.retries,
        drain=row.on_leave == "drain",
        uncapped=row.uncapped,
        timeouts=Timeouts.of(row.timeouts),
        model_timeouts=_model_timeouts(row),
        breaker=BreakerRule(**row.breaker),
        limits=_limits(row),
        zero_retention=row.zero_retention,
        region=row.region,
        spend_caps=(row.spend_cap_day_nano, row.spend_cap_month_nano),
        overrides=overrides,
        has_prompt=overrides is not None and overrides.system_prompt is not None,
    )


def _rule(row: _RuleRow) -> ModelRule:
    """What a younger version of this code may have written beside what is known is left out."""
    causes = frozenset(cause for cause in CAUSES if cause in row.causes)
    pick: Pick = next((pick for pick in PICKS if pick == row.pick), "weight")
    rule, shadow = read_rule(row.charge_rule), read_shadow(row.shadow)
    return ModelRule(row.model, tuple(row.fallbacks), causes, pick, rule, shadow)


def _entry(row: _EntryRow, plan_ids: Mapping[str, int]) -> ModelEntry:
    # What is shown to plans that are no more is shown to nobody.
    plans = {plan_ids[name] for name in row.plans if name in plan_ids}
    return ModelEntry(
        row.name,
        overrides_of(row.can, row.context_max, row.output_max),
        row.deprecated_at,
        row.sunset_at,
        row.replacement,
        row.forwards,
        frozenset(plans) if row.plans else None,
        frozenset(row.roles) if row.roles else None,
    )


def _model_timeouts(row: ChannelRow) -> Mapping[str, Timeouts] | None:
    """Every model of a channel, where one has timeouts of its own: the closest name decides."""
    if not any(route.timeouts for route in row.routes):
        return None
    return {route.model: Timeouts.of({**row.timeouts, **route.timeouts}) for route in row.routes}


def _limits(row: ChannelRow) -> ChannelLimits | None:
    limits = ChannelLimits(UUID(row.id), row.rpm, row.tpm, row.parallel)
    return None if limits == (limits.channel_id, None, None, None) else limits


_MISSING = """
    SELECT count(*) FROM unnest(%(apps)s::text[], %(names)s::text[]) AS wanted (app, name)
    WHERE NOT EXISTS (
        SELECT FROM django_migrations done
        WHERE done.app = wanted.app AND done.name = wanted.name)"""
_EPOCH = """
    SELECT coalesce((SELECT n FROM accounts_epoch WHERE id = 1), 0),
           extract(epoch FROM clock_timestamp())"""

_LOAD = """
    SELECT json_build_object(
        'now', extract(epoch FROM clock_timestamp()),
        'changed', coalesce(
            (SELECT extract(epoch FROM min(created_at)) FROM gateway_channel WHERE enabled), 0),
        'epoch', coalesce((SELECT n FROM accounts_epoch WHERE id = 1), 0),
        'egress_allow', coalesce(
            (SELECT to_json(egress_allow) FROM gateway_installationsetting WHERE id = 1),
            '[]'::json),
        'egress_allow_users', coalesce(
            (SELECT to_json(egress_allow_users) FROM gateway_installationsetting WHERE id = 1),
            '[]'::json),
        'unpriced_models', coalesce(
            (SELECT unpriced_models FROM gateway_installationsetting WHERE id = 1), 'reject'),
        'channels', coalesce((
            SELECT json_agg(json_build_object(
                'id', c.id, 'name', c.name, 'provider', c.provider, 'base_url', c.base_url,
                'priority', c.priority, 'weight', c.weight, 'retries', c.retries,
                'on_leave', c.on_leave, 'uncapped', c.uncapped,
                'names_client', c.names_client,
                'rpm', c.rpm, 'tpm', c.tpm, 'parallel', c.parallel,
                'spend_cap_day_nano', c.spend_cap_day_nano,
                'spend_cap_month_nano', c.spend_cap_month_nano,
                'conditions', c.conditions, 'zero_retention', c.zero_retention,
                'region', c.region,
                'timeouts', c.timeouts, 'breaker', c.breaker, 'overrides', c.overrides,
                'proxy_url', c.proxy_url, 'ca_bundle', c.ca_bundle,
                'client_cert', c.client_cert,
                'proxy_login', translate(encode(c.proxy_login, 'base64'), E'\\n', ''),
                'client_key', translate(encode(c.client_key, 'base64'), E'\\n', ''),
                'keys', coalesce((
                    SELECT json_agg(json_build_array(
                        k.id, translate(encode(k.sealed, 'base64'), E'\\n', ''), k.last4)
                        ORDER BY k.position)
                    FROM gateway_channelkey k
                    WHERE k.channel_id = c.id AND k.disabled_at IS NULL), '[]'::json),
                'routes', coalesce((
                    SELECT json_agg(json_build_object(
                        'model', r.model, 'upstream_model', r.upstream_model, 'can', r.can,
                        'priority', r.priority, 'weight', r.weight, 'timeouts', r.timeouts))
                    FROM gateway_route r WHERE r.channel_id = c.id), '[]'::json)))
            FROM gateway_channel c
            WHERE c.enabled
                -- One whose keys are all disabled is not asked without a key instead.
                AND coalesce((
                    SELECT bool_or(k.disabled_at IS NULL)
                    FROM gateway_channelkey k WHERE k.channel_id = c.id), true)), '[]'::json),
        'prices', coalesce((
            SELECT json_agg(json_build_object(
                'id', v.id, 'model', p.model, 'kind', p.kind, 'channel', p.channel,
                'service_tier', p.service_tier, 'hours', p.hours, 'rates', v.rates,
                'valid_from', extract(epoch FROM v.valid_from),
                'valid_to', extract(epoch FROM v.valid_to)))
            FROM billing_price p JOIN billing_priceversion v ON v.price_id = p.id
            WHERE v.valid_to IS NULL OR v.valid_to > now()), '[]'::json),
        'plans', coalesce((
            SELECT json_agg(json_build_object(
                'id', id, 'name', name, 'multiplier_ppm', multiplier_ppm,
                'models', to_json(model_patterns)))
            FROM billing_plan), '[]'::json),
        'rules', coalesce((
            SELECT json_agg(json_build_object(
                'model', model, 'fallbacks', to_json(fallbacks), 'causes', to_json(causes),
                'pick', pick, 'charge_rule', charge_rule, 'shadow', shadow))
            FROM gateway_modelrule), '[]'::json),
        'aliases', coalesce((
            SELECT json_object_agg(name, target) FROM gateway_modelalias), '{}'::json),
        'entries', coalesce((
            SELECT json_agg(json_build_object(
                'name', name, 'can', can, 'context_max', context_max, 'output_max', output_max,
                'deprecated_at', extract(epoch FROM deprecated_at),
                'sunset_at', extract(epoch FROM sunset_at),
                'replacement', replacement, 'forwards', forwards,
                'plans', to_json(plans), 'roles', to_json(roles)))
            FROM gateway_modelentry), '[]'::json),
        'condition_holders', coalesce((
            SELECT json_object_agg(named.holder, coalesce(team.id, owner.id))
            FROM (
                SELECT DISTINCT jsonb_array_elements_text(c.conditions->'teams') AS holder
                FROM gateway_channel c WHERE c.enabled
            ) named
            JOIN accounts_organisation owner ON owner.slug = split_part(named.holder, '/', 1)
            LEFT JOIN accounts_team team
              ON team.organisation_id = owner.id
             AND team.slug = split_part(named.holder, '/', 2)
            WHERE team.id IS NOT NULL OR strpos(named.holder, '/') = 0), '{}'::json)
    )::text"""
