"""The test of a channel: one short request, recorded in stages
(gateway/channels/channel_tests/calls.py), and its consequences.

Nobody is charged: the request has no hold and no usage record. Its cost at the provider is computed
from the provider's counts.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, cast

from django.db import connection, transaction

from accounts.access.actors import Actor
from accounts.audit import audit
from billing.prices.lookup import Price, PriceList, PriceRow
from billing.prices.name_patterns import matches
from billing.prices.prices import list_prices
from billing.prices.pricing import total_of
from gateway.channel_order import channel_order
from gateway.channels.channel_tests.calls import ChannelCheck, call
from gateway.channels.channel_tests.connections import CONNECTION_VARIANTS
from gateway.channels.channel_tests.staged_calls import Target
from gateway.channels.channel_tests.variants import STAGES, Variant
from gateway.channels.egress import address_of, outbound_of
from gateway.channels.overrides.rules import NO_OVERRIDES, read_overrides
from gateway.channels.sealed_keys import open_secret
from gateway.models import Channel, ChannelKey
from gateway.providers import PROVIDERS
from gateway.providers.cloud_places import priced_in
from gateway.providers.models import find_row
from gateway.settings.installation import egress_policy
from lib import clock
from lib.vault import VaultError


def upstream_name(channel: Channel, model: str) -> str | None:
    """Return the channel's upstream name for the model, or None if it does not serve it."""
    routes = [
        channel_order.Route(str(channel.id), route.model, route.upstream_model)
        for route in channel.routes.all()
    ]
    plan = channel_order.plan(model, routes, seed=0)
    return plan[0].upstream_model if plan else None


def usual_variant(upstream_model: str, wanted: Variant) -> Variant:
    """Return the variant in which to test a model that nobody chose: that of its connections in
    place of `streamed`, if it answers over connections only."""
    row = find_row(upstream_model)
    if wanted != "streamed" or row is None or row.endpoint not in CONNECTION_VARIANTS:
        return wanted
    return cast(Variant, row.endpoint)


def check_channel(
    actor: Actor, channel: Channel, model: str, variant: Variant = "streamed"
) -> ChannelCheck:
    """Test `model` at a channel, enabled or not, and store the result, unless the channel has
    another address or key by then. Takes as long as the channel's timeouts allow, at most a minute.
    The channel must serve the model (ValueError)."""
    name = upstream_name(channel, model)
    if name is None:
        raise ValueError(f"{channel.name} does not serve {model}")
    policy, way = egress_policy(), way_of(channel)
    result = new_result(model, name, variant)
    try:
        target = target_of(channel)
    except VaultError as error:
        failure = {"name": STAGES[variant][0], "ok": False, "ms": 0}
        result.stages, result.fault, result.detail = [failure], "secret", str(error)
    else:
        if not connection.in_atomic_block:
            # The provider may take a minute, so the connection is returned to the pool.
            connection.close()
        call(target, policy, result)
    regions = served_regions(channel.provider, channel.base_url, channel.region, name)
    result.cost_nano = cost_of(channel.name, regions, result)
    with transaction.atomic():
        locked = lock_if_tested(channel, way)
        if locked is not None:
            locked.last_test = stored_form(result)
            locked.save(update_fields=["last_test"])
        audit.record(
            actor, None, "channel.tested", channel,
            model=model, variant=variant, ok=result.ok, fault=result.fault,
        )  # fmt: skip
    channel.last_test = stored_form(result)
    return result


def way_of(channel: Channel) -> tuple[object, ...]:
    """Return what a test reaches: the channel's address, with its first active key."""
    key = _first_key(channel)
    return (*address_of(channel), None if key is None else bytes(key.digest))


def lock_if_tested(channel: Channel, way: tuple[object, ...]) -> Channel | None:
    """Lock and return a channel in the caller's transaction; None if it is deleted, or if a test of
    this `way` says nothing about it any more."""
    locked = Channel.objects.select_for_update().filter(id=channel.id).first()
    return locked if locked is not None and way_of(locked) == way else None


def _first_key(channel: Channel) -> ChannelKey | None:
    return channel.keys.filter(disabled_at=None).first()


def try_model(target: Target, model: str, upstream_model: str) -> ChannelCheck:
    """Run the test of a channel that does not exist yet. Nothing is stored."""
    name = upstream_model or model
    result = new_result(model, name, usual_variant(name, "streamed"))
    call(target, egress_policy(), result)
    regions = served_regions(target.provider, target.base_url, "", result.upstream_model)
    result.cost_nano = cost_of("", regions, result)
    return result


def cost_of(channel: str, regions: Sequence[str] | None, result: ChannelCheck) -> int | None:
    """Return the cost of a test at the provider, in nano: by the channel's cost price, else the
    model's cost price, else its price, in the first of the regions (`served_regions`) that has one.
    Return None if nothing was counted or priced, or nobody knows the region of the price."""
    if not result.meters:
        return None
    for kind, owner in dict.fromkeys((("cost", channel), ("cost", ""), ("charge", ""))):
        price = _find_price(kind, owner, result.model)
        if price is None:
            continue
        price = price.served_in(regions)
        total = None if price.unplaced else total_of(result.meters, price.version)
        return total if isinstance(total, int) else None
    return None


def served_regions(
    provider: str, base_url: str, region: str, upstream_model: str
) -> Sequence[str] | None:
    """Return the regions by which a provider prices a model, as `cloud_places.priced_in`."""
    known = PROVIDERS.get(provider)
    place = None if known is None else known.place
    return priced_in(place, base_url, region, upstream_model)


def _find_price(kind: str, owner: str, model: str) -> Price | None:
    """Return the model's price of a kind that is in force, with those of its regions."""
    prices = PriceList(
        PriceRow(
            id=version.version_id,
            **version.key._asdict(),
            valid_from=version.valid_from.timestamp(),
            valid_to=None if version.valid_to is None else version.valid_to.timestamp(),
            rates=version.rates,
            source=version.source,
        )
        for version in list_prices(kind=kind)
        if version.key.channel == owner
        and (version.model == model or matches(version.model, model))
    )
    return prices.find(prices.names_for(model), clock.now().timestamp())


def stored_form(result: ChannelCheck) -> dict[str, Any]:
    """Return a result in its stored form, which pages also read."""
    return asdict(result)


def target_of(channel: Channel, key: ChannelKey | None = None) -> Target:
    """Return the target for calls to a channel, with one of its keys; by default the first active
    one. Raises VaultError."""
    key = key or _first_key(channel)
    secret = open_secret(key) if key else ""
    overrides = read_overrides(channel.overrides) or NO_OVERRIDES
    return Target(
        channel.provider,
        channel.base_url,
        secret,
        channel.timeouts,
        overrides,
        outbound_of(channel),
    )


def new_result(model: str, upstream_model: str, variant: Variant) -> ChannelCheck:
    """Return the initial result of a test."""
    return ChannelCheck(
        at=clock.now().isoformat(), model=model, upstream_model=upstream_model, variant=variant
    )
