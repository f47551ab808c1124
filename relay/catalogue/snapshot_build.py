"""Build the snapshot from the rows of its statement (relay/catalogue/snapshot_sql.py)."""

import base64
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any
from uuid import UUID

import msgspec

from billing.limits.channel_limits import ChannelLimits
from billing.limits.charge_rule import read_rule
from billing.prices.lookup import PriceList, PriceRow
from billing.prices.own_key_fee import OwnKeyFee
from dialects.chat.chat import Dialect
from gateway.aliases.rules import resolve_aliases
from gateway.breaker.breaker import BreakerRule
from gateway.channel_order.channel_order import Route
from gateway.channel_order.tie_breaking import PICKS, Pick
from gateway.channels.overrides.condition_rules import compile_conditions
from gateway.channels.overrides.rules import read_overrides
from gateway.channels.passthrough.rules import COST_KIND, PRICE_KIND, read_rules
from gateway.channels.timeouts import Timeouts
from gateway.model_entries.rules import ModelEntry, overrides_of
from gateway.own_keys.cloud_keys import own_base_url
from gateway.own_keys.routes import OwnKeyRoute
from gateway.providers import UnknownProvider, provider_named
from gateway.providers.provider import USER_AGENT, BadAddress, Provider
from gateway.routing.model_rule_bounds import CAUSES, ModelRule
from gateway.routing.shadow_rules import read_shadow
from lib.database.database_clock import DatabaseClock
from lib.id_types import ChannelId
from lib.network.egress import EgressPolicy
from lib.network.outbound import DIRECT, BadProxy, Outbound, read_proxy
from lib.vault import Vault, VaultError
from relay.catalogue.off_channels import OffChannel
from relay.catalogue.snapshot import Channel, OwnKeyTerms, PricePlan, Snapshot, StoredChannel

log = logging.getLogger(__name__)


def build(text: str, vault: Vault, clock: DatabaseClock) -> Snapshot:
    """Return the snapshot for the result of `load_statement`. A channel or price that cannot be
    used is left out and logged, never guessed. Its models then have one route less, and other
    models are not affected."""
    raw = msgspec.json.decode(text, type=_Catalogue)
    channels: dict[str, Channel] = {}
    routes: list[Route] = []
    unusable: list[tuple[str, str]] = []
    off = list(raw.off)
    price_plan_ids = {plan.name: plan.id for plan in raw.plans}
    for row in raw.channels:
        try:
            channel = replace(
                _channel(row, _decrypt_secrets(row, vault)),
                outbound=_outbound(row, vault),
                conditions=compile_conditions(
                    row.conditions, price_plan_ids, raw.condition_holders
                ),
            )
        except _UNUSABLE as error:
            log.error("channel %s is out of use: %s", row.name, error)
            unusable.append((row.id, row.name))
            off.append(OffChannel(tuple(route.model for route in row.routes), "unusable"))
            continue
        channels[channel.id] = channel
        routes += _routes(row)
    own_channels, own_keys = _own_keys(raw.own_keys, channels, vault)
    costs, path_prices, path_costs = (
        _by_channel(raw.prices, kind) for kind in ("cost", PRICE_KIND, COST_KIND)
    )
    rules = tuple(_rule(row) for row in raw.rules)
    exact: dict[str, tuple[Route, ...]] = {}
    for route in routes:
        if "*" not in route.model:
            exact[route.model] = (*exact.get(route.model, ()), route)
    return Snapshot(
        epoch=raw.epoch,
        channels=channels | own_channels,
        own_keys=own_keys,
        exact_routes=exact,
        pattern_routes=tuple(route for route in routes if "*" in route.model),
        charges=PriceList(row for row in raw.prices if row.kind == "charge"),
        costs=costs,
        path_prices=path_prices,
        path_costs=path_costs,
        price_plans={
            plan.id: PricePlan(plan.multiplier_ppm, tuple(plan.models)) for plan in raw.plans
        },
        egress=EgressPolicy(raw.egress_allow),
        egress_users=EgressPolicy(raw.egress_allow_users),
        unpriced_models=raw.unpriced_models,
        prefix_sessions=raw.prefix_sessions,
        clock=clock,
        created=int(raw.changed),
        unusable=tuple(unusable),
        off=tuple(off),
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
        aliases=resolve_aliases(raw.aliases),
        holder_ids=raw.condition_holders,
        accepted=_group_accepted(raw.accepted),
        entries={
            entry.name: entry
            for entry in (_entry(row, price_plan_ids) for row in raw.entries)
            # A row that only a probe created has no properties.
            if entry != ModelEntry(entry.name)
        },
    )


def _own_keys(
    rows: Sequence["_OwnKeyRow"], channels: Mapping[str, Channel], vault: Vault
) -> tuple[dict[str, Channel], dict[UUID, tuple[OwnKeyRoute, ...]]]:
    """Return the channels with organisations' own keys, by id, and the keys by organisation."""
    own_channels: dict[str, Channel] = {}
    by_organisation: dict[UUID, tuple[OwnKeyRoute, ...]] = {}
    for row in rows:
        id, channel = str(row.id), channels.get(row.channel_id)
        if channel is not None and row.fee is not None and row.sealed is not None:
            try:
                secret = vault.open(base64.b64decode(row.sealed), f"gateway_ownkey|{row.id}|sealed")
                own_channels[id] = _own_channel(channel, row, row.fee, secret)
            except (VaultError, BadAddress) as error:
                log.error("an own key for channel %s cannot be used: %s", channel.name, error)
        route = OwnKeyRoute(
            id=id,
            channel_id=row.channel_id,
            organisation_id=row.organisation_id,
            team_id=row.team_id,
            fee=row.fee or OwnKeyFee(),
            fall_back=row.fall_back,
            usable=id in own_channels,
            models=tuple(row.models),
        )
        known = by_organisation.get(row.organisation_id, ())
        by_organisation[row.organisation_id] = (*known, route)
    return own_channels, by_organisation


def _own_channel(channel: Channel, row: "_OwnKeyRow", fee: OwnKeyFee, secret: str) -> Channel:
    """Return a channel that uses an organisation's own key. The channel's limits, caps and
    conditions protect the operator's account, and do not apply. Raises BadAddress."""
    provider = channel.provider
    base_url = own_base_url(provider, channel.base_url, channel.region, secret)
    source = provider.credential_source_of(secret)
    return replace(
        channel,
        id=str(row.id),
        base_url=base_url,
        address=provider.address(base_url),
        headers=(_headers(provider, secret),),
        signers=() if provider.signer is None else (provider.signer_of(secret),),
        credential_sources=() if source is None else (source,),
        key_endings=(row.last4,),
        key_ids=(row.id,),
        limits=None,
        spend_caps=(None, None),
        conditions=None,
        uncapped=False,
        own=OwnKeyTerms(row.id, fee),
    )


def _by_channel(prices: Sequence[PriceRow], kind: str) -> dict[str, PriceList]:
    rows: dict[str, list[PriceRow]] = {}
    for price in prices:
        if price.kind == kind:
            rows.setdefault(price.channel, []).append(price)
    return {channel: PriceList(of_channel) for channel, of_channel in rows.items()}


def _group_accepted(rows: Sequence["AcceptedRow"]) -> dict[str, dict[str, frozenset[str]]]:
    by_channel: dict[str, dict[str, frozenset[str]]] = {}
    for row in rows:
        members = by_channel.setdefault(row.provider, {})
        members[row.wire] = members.get(row.wire, frozenset()) | {row.member}
    return by_channel


# Exceptions for which a channel is omitted.
_UNUSABLE = (UnknownProvider, BadAddress, BadProxy, VaultError, msgspec.ValidationError)


class AcceptedRow(msgspec.Struct):
    """A stored member of usage that an operator counts as free."""

    provider: str
    wire: str
    member: str


class RouteRow(msgspec.Struct):
    """A stored route: a model that a channel serves."""

    model: str
    upstream_model: str
    can: dict[str, bool] = {}
    priority: int | None = None
    weight: int | None = None
    timeouts: dict[str, float] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRow(StoredChannel):
    """A stored channel. `keys` are the ids of its keys, their sealed secrets and their last
    characters. The statement reads the column of each field."""

    provider: str
    priority: int
    weight: int
    on_leave: str
    timeouts: dict[str, float]
    breaker: dict[str, Any]
    keys: list[tuple[str, str, str]]
    routes: list[RouteRow]
    names_client: bool = True
    rpm: int | None = None
    tpm: int | None = None
    parallel: int | None = None
    spend_cap_day_nano: int | None = None
    spend_cap_month_nano: int | None = None
    conditions: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)
    pass_through: list[dict[str, Any]] = field(default_factory=list)
    proxy_url: str = ""
    proxy_login: str | None = None
    ca_bundle: str = ""
    client_cert: str = ""
    client_key: str | None = None


class _OwnKeyRow(msgspec.Struct):
    """An organisation's own key. `fee` is None while the key may not be used."""

    id: UUID
    channel_id: str
    organisation_id: UUID
    team_id: UUID | None
    sealed: str | None
    last4: str
    fall_back: bool
    fee: OwnKeyFee | None
    models: list[str]


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
    accepted: list[AcceptedRow]
    # The ids of the organisations and teams in the conditions of channels and of their overrides.
    condition_holders: dict[str, UUID]
    own_keys: list[_OwnKeyRow] = []
    off: list[OffChannel] = []
    prefix_sessions: bool = False


def build_single_channel(
    snapshot: Snapshot, row: ChannelRow, secret: str
) -> tuple[Snapshot, Channel]:
    """Return a channel with this key, and a catalogue with no other channel. Raises
    UnknownProvider, BadAddress.
    """
    channel, routes = _channel(row, [secret or None]), _routes(row)
    exact: dict[str, tuple[Route, ...]] = {}
    for route in routes:
        exact[route.model] = (*exact.get(route.model, ()), route)
    only = replace(
        snapshot,
        channels={channel.id: channel},
        exact_routes=exact,
        pattern_routes=tuple(route for route in routes if "*" in route.model),
        off=(),
        _known={},
    )
    return only, channel


def _routes(row: ChannelRow) -> list[Route]:
    return [
        Route(
            channel_id=row.id,
            model=route.model,
            upstream_model=route.upstream_model,
            priority=row.priority if route.priority is None else route.priority,
            weight=row.weight if route.weight is None else route.weight,
            retries=row.retries,
            overrides=frozenset(route.can.items()),
        )
        for route in row.routes
    ]


def _decrypt_secrets(row: ChannelRow, vault: Vault) -> list[str | None]:
    """Return the decrypted secrets of a channel's keys. Raises VaultError."""
    # The place that gateway/channels/channels.py sealed the key for.
    return [
        vault.open(base64.b64decode(sealed), f"gateway_channelkey|{key_id}|sealed")
        for key_id, sealed, _ in row.keys
    ]


def _outbound(row: ChannelRow, vault: Vault) -> Outbound:
    """Return the network route to a channel. Raises VaultError, BadProxy."""

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
    stored: dict[str, Any] = {one.name: getattr(row, one.name) for one in fields(StoredChannel)}
    return Channel(
        **stored,
        uuid=ChannelId(UUID(row.id)),
        provider=provider,
        address=provider.address(row.base_url),
        headers=tuple(_headers(provider, secret) for secret in secrets or [None]),
        key_endings=tuple(last4 for _, _, last4 in row.keys),
        key_ids=tuple(UUID(key_id) for key_id, _, _ in row.keys),
        signers=(
            ()
            if provider.signer is None
            else tuple(provider.signer_of(secret) for secret in secrets)
        ),
        credential_sources=(
            ()
            if provider.credential_source is None
            else tuple(provider.credential_source_of(secret) for secret in secrets)
        ),
        passed_headers={
            dialect: frozenset(
                name.encode()
                for name in (*spoken.passed_headers, *((USER_AGENT,) if row.names_client else ()))
            )
            for dialect, spoken in provider.dialects.items()
        },
        drain=row.on_leave == "drain",
        timeouts=Timeouts.of(row.timeouts),
        model_timeouts=_model_timeouts(row),
        breaker=BreakerRule(**row.breaker),
        limits=_limits(row),
        spend_caps=(row.spend_cap_day_nano, row.spend_cap_month_nano),
        overrides=overrides,
        has_prompt=overrides is not None and overrides.system_prompt is not None,
        path_rules=read_rules(row.pass_through),
    )


def _headers(provider: Provider, secret: str | None) -> dict[Dialect, tuple[tuple[str, str], ...]]:
    return {
        dialect: tuple(provider.headers(secret, dialect).items()) for dialect in provider.dialects
    }


def _rule(row: _RuleRow) -> ModelRule:
    """Return the stored rule. Members that a newer release wrote are ignored."""
    causes = frozenset(cause for cause in CAUSES if cause in row.causes)
    pick: Pick = next((pick for pick in PICKS if pick == row.pick), "weight")
    rule, shadow = read_rule(row.charge_rule), read_shadow(row.shadow)
    return ModelRule(row.model, tuple(row.fallbacks), causes, pick, rule, shadow)


def _entry(row: _EntryRow, price_plan_ids: Mapping[str, int]) -> ModelEntry:
    # A model shown only to deleted plans is shown to nobody.
    plans = {price_plan_ids[name] for name in row.plans if name in price_plan_ids}
    return ModelEntry(
        name=row.name,
        overrides=overrides_of(row.can, row.context_max, row.output_max),
        deprecated_at=row.deprecated_at,
        sunset_at=row.sunset_at,
        replacement=row.replacement,
        forwards=row.forwards,
        price_plan_ids=frozenset(plans) if row.plans else None,
        roles=frozenset(row.roles) if row.roles else None,
    )


def _model_timeouts(row: ChannelRow) -> Mapping[str, Timeouts] | None:
    """Return the timeouts of the models of a channel, if a model has its own. The closest name or
    pattern decides."""
    if not any(route.timeouts for route in row.routes):
        return None
    return {route.model: Timeouts.of({**row.timeouts, **route.timeouts}) for route in row.routes}


def _limits(row: ChannelRow) -> ChannelLimits | None:
    limits = ChannelLimits(ChannelId(UUID(row.id)), row.rpm, row.tpm, row.parallel)
    return None if limits == (limits.channel_id, None, None, None) else limits
