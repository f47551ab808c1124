"""The immutable catalogue that the data plane works from: channels, routes, prices, settings.

It is loaded whole by one statement and swapped whole, when a notification on `weir_epoch` or the
poll of the epoch's row says that something changed. The row is the truth; the notification only
makes it quick. A request keeps the snapshot that it began with.
"""

import base64
import bisect
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from billing.rules.meters import MeterUnknown
from billing.rules.pricing import PriceInvalid, PriceVersion
from gateway.codecs.chat import Dialect
from gateway.providers import UnknownProvider, provider_named
from gateway.providers.provider import Address, BadAddress, Provider
from gateway.rules.breaker import BreakerRule
from gateway.rules.routing import Candidate, Route, matches, plan
from lib.egress import EgressPolicy
from lib.vault import Vault, VaultError

log = logging.getLogger(__name__)

Statement = tuple[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; the defaults are those of promises.md, "Numbers"."""

    connect: float = 3.0
    first_content: float = 60.0
    idle: float = 60.0
    total: float = 1800.0


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to a provider, with its secrets opened: `headers` are those of every request, for
    each key (one without any, where there is none) by the dialect that is spoken, `passed` the
    names of a client's headers that go on."""

    id: str
    uuid: UUID
    name: str
    provider: Provider
    base_url: str
    address: Address
    headers: tuple[Mapping[Dialect, tuple[tuple[str, str], ...]], ...]
    passed: Mapping[Dialect, frozenset[bytes]]
    retries: int
    drain: bool
    timeouts: Timeouts
    breaker: BreakerRule


@dataclass(frozen=True, slots=True)
class Price:
    """A price version with the span of time (Unix seconds) in which it is charged."""

    id: int
    valid_from: float
    valid_to: float | None
    version: PriceVersion


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that the relay knows without asking. `epoch` says of which change it is."""

    epoch: int
    channels: Mapping[str, Channel]
    exact_routes: Mapping[str, tuple[Route, ...]]
    pattern_routes: tuple[Route, ...]
    prices: Mapping[str, tuple[Price, ...]]
    price_patterns: tuple[str, ...]
    egress: EgressPolicy
    unpriced_models: str
    loaded_at: float
    loaded_at_here: float
    created: int
    _known: dict[str, "_Matched"] = field(default_factory=dict)

    def now(self) -> float:
        """The database's clock (Unix seconds), by which prices and keys are valid; a step of our
        own clock does not move it."""
        return self.loaded_at + time.monotonic() - self.loaded_at_here

    def routes_of(self, model: str) -> Sequence[Route]:
        """Every route that may serve a model; `routing.plan` puts them in order."""
        return self._match(model).routes

    def only_candidate(self, model: str) -> list[Candidate]:
        """The plan for a model that one route serves, for which nothing is to be drawn; else []."""
        return self._match(model).only

    def price_of(self, model: str) -> Price | None:
        """The price version in force; an exact name beats the longest pattern that has one."""
        now = self.now()
        for name in self._match(model).price_names:
            for price in self.prices[name]:
                if price.valid_from <= now and (price.valid_to is None or now < price.valid_to):
                    return price
        return None

    def _match(self, model: str) -> "_Matched":
        """What stands for a model; remembered, for a catalogue may have hundreds of patterns."""
        known = self._known.get(model)
        if known is None:
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            routes = (
                *self.exact_routes.get(model, ()),
                *(route for route in self.pattern_routes if matches(route.model, model)),
            )
            named = [model] if model in self.prices and "*" not in model else []
            known = self._known[model] = _Matched(
                routes,
                plan(model, routes, seed=0) if len(routes) == 1 else [],
                (*named, *(name for name in self.price_patterns if matches(name, model))),
            )
        return known

    def listed_models(self) -> list[str]:
        """The names that can be asked: those of routes, and priced ones that a pattern meets."""
        names = set(self.exact_routes)
        for name in self.prices:
            if "*" not in name and any(matches(route.model, name) for route in self.pattern_routes):
                names.add(name)
        return sorted(names)


class _Matched(NamedTuple):
    routes: tuple[Route, ...]
    only: list[Candidate]
    price_names: tuple[str, ...]


# Clients choose the names that patterns meet: what is remembered of them has a bound.
_KNOWN_MAX = 4096
EMPTY = Snapshot(-1, {}, {}, (), {}, (), EgressPolicy(), "reject", 0.0, 0.0, 0)


def load_statement() -> Statement:
    """One row with one text: everything as JSON, all of one instant."""
    return _LOAD, {}


def epoch_statement() -> Statement:
    """One row: the epoch."""
    return _EPOCH, {}


def build(text: str, vault: Vault) -> Snapshot:
    """The snapshot of what `load_statement` gave.

    A channel or price that cannot be used is left out and logged, never guessed: its models then
    have one way less, the others are not harmed.
    """
    raw = msgspec.json.decode(text, type=_Catalogue)
    channels: dict[str, Channel] = {}
    routes: list[Route] = []
    for row in raw.channels:
        try:
            channel = _channel(row, vault)
        except (UnknownProvider, BadAddress, VaultError) as error:
            log.error("channel %s is out of use: %s", row.name, error)
            continue
        channels[channel.id] = channel
        routes += [
            Route(channel.id, way.model, way.upstream_model, row.priority, row.weight, row.retries)
            for way in row.routes
        ]
    prices = _prices(raw.prices)
    patterns = [name for name in prices if "*" in name]
    exact: dict[str, tuple[Route, ...]] = {}
    for route in routes:
        if "*" not in route.model:
            exact[route.model] = (*exact.get(route.model, ()), route)
    return Snapshot(
        epoch=raw.epoch,
        channels=channels,
        exact_routes=exact,
        pattern_routes=tuple(route for route in routes if "*" in route.model),
        prices=prices,
        price_patterns=tuple(sorted(patterns, key=lambda name: (-len(name), name))),
        egress=EgressPolicy(raw.egress_allow),
        unpriced_models=raw.unpriced_models,
        loaded_at=raw.now,
        loaded_at_here=time.monotonic(),
        created=int(raw.changed),
    )


class _Way(msgspec.Struct):
    model: str
    upstream_model: str


class _ChannelRow(msgspec.Struct):
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
    keys: list[tuple[str, str]]
    routes: list[_Way]


class _PriceRow(msgspec.Struct):
    id: int
    model: str
    valid_from: float
    valid_to: float | None
    rates: dict[str, object]


class _Catalogue(msgspec.Struct):
    now: float
    changed: float
    epoch: int
    egress_allow: list[str]
    unpriced_models: str
    channels: list[_ChannelRow]
    prices: list[_PriceRow]


def _channel(row: _ChannelRow, vault: Vault) -> Channel:
    provider = provider_named(row.provider)
    # The place that gateway/channels.py sealed the key for.
    secrets: list[str | None] = [
        vault.open(base64.b64decode(sealed), f"gateway_channelkey|{key_id}|sealed")
        for key_id, sealed in row.keys
    ]
    known = {name: row.timeouts[name] for name in Timeouts.__slots__ if name in row.timeouts}
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
        passed={
            dialect: frozenset(name.encode() for name in spoken.passed_headers)
            for dialect, spoken in provider.dialects.items()
        },
        retries=row.retries,
        drain=row.on_leave == "drain",
        timeouts=Timeouts(**known),
        breaker=BreakerRule(**row.breaker),
    )


def _prices(rows: Sequence[_PriceRow]) -> dict[str, tuple[Price, ...]]:
    prices: dict[str, list[Price]] = {}
    for row in rows:
        try:
            version = PriceVersion.from_stored(row.rates)
        except (PriceInvalid, MeterUnknown) as error:
            log.error("price version %s of %s is out of use: %s", row.id, row.model, error)
            continue
        bisect.insort(
            prices.setdefault(row.model, []),
            Price(row.id, row.valid_from, row.valid_to, version),
            key=lambda price: price.valid_from,
        )
    return {model: tuple(versions) for model, versions in prices.items()}


_EPOCH = "SELECT coalesce((SELECT n FROM accounts_epoch WHERE id = 1), 0)"

_LOAD = """
    SELECT json_build_object(
        'now', extract(epoch FROM clock_timestamp()),
        'changed', coalesce(
            (SELECT extract(epoch FROM min(created_at)) FROM gateway_channel WHERE enabled), 0),
        'epoch', coalesce((SELECT n FROM accounts_epoch WHERE id = 1), 0),
        'egress_allow', coalesce(
            (SELECT to_json(egress_allow) FROM gateway_installationsetting WHERE id = 1),
            '[]'::json),
        'unpriced_models', coalesce(
            (SELECT unpriced_models FROM gateway_installationsetting WHERE id = 1), 'reject'),
        'channels', coalesce((
            SELECT json_agg(json_build_object(
                'id', c.id, 'name', c.name, 'provider', c.provider, 'base_url', c.base_url,
                'priority', c.priority, 'weight', c.weight, 'retries', c.retries,
                'on_leave', c.on_leave, 'timeouts', c.timeouts, 'breaker', c.breaker,
                'keys', coalesce((
                    SELECT json_agg(json_build_array(
                        k.id, translate(encode(k.sealed, 'base64'), E'\\n', ''))
                        ORDER BY k.position)
                    FROM gateway_channelkey k WHERE k.channel_id = c.id), '[]'::json),
                'routes', coalesce((
                    SELECT json_agg(json_build_object(
                        'model', r.model, 'upstream_model', r.upstream_model))
                    FROM gateway_route r WHERE r.channel_id = c.id), '[]'::json)))
            FROM gateway_channel c WHERE c.enabled), '[]'::json),
        'prices', coalesce((
            SELECT json_agg(json_build_object(
                'id', v.id, 'model', p.model, 'rates', v.rates,
                'valid_from', extract(epoch FROM v.valid_from),
                'valid_to', extract(epoch FROM v.valid_to)))
            FROM billing_price p JOIN billing_priceversion v ON v.price_id = p.id
            WHERE v.valid_to IS NULL OR v.valid_to > now()), '[]'::json)
    )::text"""
