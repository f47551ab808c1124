"""The test of a channel: one short request, recorded in stages
(gateway/channels/channel_tests/calls.py), and its consequences.

Nobody is charged: the request has no hold and no usage record. Its cost at the provider is computed
from the provider's counts.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from django.db import connection, transaction

from accounts.access.actors import Actor
from accounts.audit import audit
from billing.prices.pricing import PriceVersion, total_of
from gateway.channels.channel_tests.calls import STAGES, ChannelCheck, Variant, call
from gateway.channels.channel_tests.staged_calls import Target
from gateway.channels.channels import open_secret
from gateway.channels.egress import outbound_of
from gateway.channels.overrides.rules import NO_OVERRIDES, read_overrides
from gateway.models import Channel, ChannelKey
from gateway.public_models.served import price_of, prices_in_force
from gateway.routing import channel_order
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


def check_channel(
    actor: Actor, channel: Channel, model: str, variant: Variant = "streamed"
) -> ChannelCheck:
    """Test `model` at a channel, enabled or not, and store the result. Takes as long as the
    channel's timeouts allow, at most a minute. The channel must serve the model (ValueError)."""
    name = upstream_name(channel, model)
    if name is None:
        raise ValueError(f"{channel.name} does not serve {model}")
    policy = egress_policy()
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
    result.cost_nano = cost_of(channel.name, model, result.meters)
    with transaction.atomic():
        Channel.objects.filter(id=channel.id).update(last_test=stored_form(result))
        audit.record(
            actor, None, "channel.tested", channel,
            model=model, variant=variant, ok=result.ok, fault=result.fault,
        )  # fmt: skip
    channel.last_test = stored_form(result)
    return result


def try_model(target: Target, model: str, upstream_model: str) -> ChannelCheck:
    """Run the test of a channel that does not exist yet. Nothing is stored."""
    result = new_result(model, upstream_model or model, "streamed")
    call(target, egress_policy(), result)
    result.cost_nano = cost_of("", model, result.meters)
    return result


def cost_of(channel: str, model: str, meters: Mapping[str, int]) -> int | None:
    """Return the provider's cost of these quantities in nano: by the channel's cost price, else the
    model's cost price, else the model's price. Return None if nothing was counted or priced."""
    if not meters:
        return None
    for kind, owner in dict.fromkeys((("cost", channel), ("cost", ""), ("charge", ""))):
        price = price_of(model, prices_in_force(kind, owner))
        if price is not None:
            total = total_of(meters, PriceVersion.from_stored(price.rates))
            return total if isinstance(total, int) else None
    return None


def stored_form(result: ChannelCheck) -> dict[str, Any]:
    """Return a result in its stored form, which pages also read."""
    return asdict(result)


def target_of(channel: Channel, key: ChannelKey | None = None) -> Target:
    """Return the target for calls to a channel, with one of its keys; by default the first active
    one. Raises VaultError."""
    key = key or channel.keys.filter(disabled_at=None).first()
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
