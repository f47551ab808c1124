"""Channels: each write with its checks, its audit event and the notification of the relays.

A provider's key is sealed for its row and never leaves it again: it can be replaced, not read. A
channel whose address changes loses its stored keys in the same write, so that no key is ever sent
to an address that it was not given for.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import fields as dataclass_fields
from typing import TypedDict, cast

from django.db import transaction
from django.utils.translation import gettext

from accounts import audit
from accounts.actors import Actor
from accounts.epoch import bump_epoch
from accounts.sealing import open_sealed, pepper, seal
from gateway.models import Channel, ChannelKey, Route
from gateway.providers import UnknownProvider, provider_named
from gateway.providers.overrides import CAPABILITIES
from gateway.providers.provider import BadAddress
from gateway.rules.breaker import BreakerRule
from gateway.rules.timeouts import Timeouts
from lib.ids import new_id
from lib.refusal import Refused

TIMEOUTS = {field.name: cast(float, field.default) for field in dataclass_fields(Timeouts)}
"""Seconds that a channel has unless it says otherwise."""
BREAKER = {
    field.name: cast(bool | float | None, field.default) for field in dataclass_fields(BreakerRule)
}
"""The same for its breaker."""


class ChannelRefused(Refused):
    """The channel cannot be so."""


class ChannelFields(TypedDict, total=False):
    """What a write may set; what it leaves out stays.

    `keys`: a text for a new secret, a ChannelKey for a stored one that stays. `models`: every name
    or pattern that the channel serves -> upstream name, "" for the same. `can`: what of them an
    operator knows better than the catalogue (gateway/providers/overrides.py), by those names.
    """

    provider: str
    base_url: str
    keys: Sequence[str | ChannelKey]
    models: Mapping[str, str]
    can: Mapping[str, Mapping[str, bool]]
    enabled: bool
    priority: int
    weight: int
    retries: int
    on_leave: str
    uncapped: bool
    names_client: bool
    timeouts: Mapping[str, float]
    breaker: Mapping[str, bool | float | None]


_PLAIN = (
    "provider",
    "base_url",
    "enabled",
    "priority",
    "weight",
    "retries",
    "on_leave",
    "uncapped",
    "names_client",
)


def create_channel(actor: Actor, name: str, fields: ChannelFields) -> Channel:
    """A new channel. Raises ChannelRefused."""
    return _save(actor, Channel(name=name, timeouts=dict(TIMEOUTS)), fields, "channel.created")


def change_channel(actor: Actor, channel: Channel, fields: ChannelFields) -> Channel:
    """Set the given fields of a channel. Raises ChannelRefused."""
    with transaction.atomic():
        locked = Channel.objects.select_for_update().get(id=channel.id)
        return _save(actor, locked, fields, "channel.changed")


def switch_capability(
    actor: Actor, channel: Channel, model: str, capability: str, on: bool | None
) -> Channel:
    """Say that a model of a channel has a capability, or not, whatever the catalogue says; None
    takes it back. Raises ChannelRefused."""
    with transaction.atomic():
        locked = Channel.objects.select_for_update().get(id=channel.id)
        can = {route.model: dict(route.can) for route in locked.routes.all()}
        switches = can.setdefault(model, {})
        switches.pop(capability, None)
        if on is not None:
            switches[capability] = on
        fields: ChannelFields = {
            "can": {name: switched for name, switched in can.items() if switched}
        }
        return _save(actor, locked, fields, "channel.changed")


def remove_channel(actor: Actor, channel: Channel) -> None:
    """Remove a channel with its secrets and routes. Usage records keep its name."""
    with transaction.atomic():
        audit.record(actor, None, "channel.removed", channel, name=channel.name)
        channel.delete()
        bump_epoch()


def secret_digest(text: str) -> bytes:
    """What tells whether a provider's key differs from the stored one, and nothing else."""
    return hmac.digest(pepper().encode(), b"gateway_channelkey|" + text.encode(), "sha256")


def open_secret(key: ChannelKey) -> str:
    """The secret, to be sent to its channel's provider and nowhere else. Raises VaultError."""
    return open_sealed(key.sealed, _place(key))


def _save(actor: Actor, channel: Channel, fields: ChannelFields, action: str) -> Channel:
    address = (channel.provider, channel.base_url)
    before = _facts(channel)
    with transaction.atomic():
        for name, value in fields.items():
            if name in _PLAIN:
                setattr(channel, name, value)
        if "timeouts" in fields:
            channel.timeouts = {**channel.timeouts, **fields["timeouts"]}
        if "breaker" in fields:
            channel.breaker = {**channel.breaker, **fields["breaker"]}
        _check(channel)
        channel.save()
        keys: Sequence[str | ChannelKey] | None = fields.get("keys")
        if address != (channel.provider, channel.base_url):
            keys = keys or ()
            if any(isinstance(key, ChannelKey) for key in keys):
                text = gettext(
                    "Changing the address removes the stored keys. Enter the keys again."
                )
                raise ChannelRefused("keys", text)
        if keys is not None:
            _replace_keys(channel, keys)
        if "models" in fields or "can" in fields:
            _replace_routes(channel, fields)
        after = _facts(channel)
        changed = [name for name in after if before.get(name) != after[name]]
        audit.record(
            actor,
            None,
            action,
            channel,
            name=channel.name,
            before={name: before.get(name) for name in changed},
            after={name: after[name] for name in changed},
        )
        bump_epoch()
    return channel


def _facts(channel: Channel) -> dict[str, object]:
    """What the trail tells of a channel; of its keys what tells them apart. Nothing of one that is
    not stored yet."""
    if channel._state.adding:
        return {}
    routes = list(channel.routes.order_by("model"))
    return {
        **{name: getattr(channel, name) for name in _PLAIN},
        "timeouts": channel.timeouts,
        "breaker": channel.breaker,
        "keys": [
            f"{bytes(key.digest).hex()[:8]} …{key.last4}"
            for key in channel.keys.order_by("position")
        ],
        "models": {route.model: route.upstream_model for route in routes},
        "can": {route.model: route.can for route in routes if route.can},
    }


def _check(channel: Channel) -> None:
    try:
        provider = provider_named(channel.provider)
    except UnknownProvider as error:
        raise ChannelRefused("provider", str(error)) from error
    channel.base_url = channel.base_url.rstrip("/") or provider.base_url
    try:
        provider.address(channel.base_url)
    except BadAddress as error:
        raise ChannelRefused("base_url", str(error)) from error


def _replace_routes(channel: Channel, fields: ChannelFields) -> None:
    """Set a channel's routes; what the write leaves out of them stays."""
    stored = {route.model: route for route in channel.routes.all()}
    models = fields.get("models", {name: route.upstream_model for name, route in stored.items()})
    can = fields.get("can", {name: route.can for name, route in stored.items() if route.can})
    for model, switches in can.items():
        unknown = set(switches) - set(CAPABILITIES)
        if model not in models:
            text = gettext("The channel does not serve %(model)s.")
            raise ChannelRefused("can", text % {"model": model})
        if unknown:
            text = gettext("There is no capability named %(name)s.")
            raise ChannelRefused("can", text % {"name": min(unknown)})
    channel.routes.all().delete()
    Route.objects.bulk_create(
        Route(channel=channel, model=model, upstream_model=upstream, can=dict(can.get(model, {})))
        for model, upstream in models.items()
    )


def _replace_keys(channel: Channel, keys: Sequence[str | ChannelKey]) -> None:
    """Set a channel's keys, in order. A secret that stays is sealed anew for its new row."""
    texts = [open_secret(key) if isinstance(key, ChannelKey) else key for key in keys]
    channel.keys.all().delete()
    provider = provider_named(channel.provider)
    for position, text in enumerate(texts):
        try:
            provider.headers(text)
        except BadAddress as error:
            raise ChannelRefused("keys", str(error)) from error
        key = ChannelKey(id=new_id(), channel=channel, position=position)
        key.digest = secret_digest(text)
        key.last4 = text[-4:] if len(text) >= 12 else ""
        key.sealed = seal(text, _place(key))
        key.save(force_insert=True)


def _place(key: ChannelKey) -> str:
    return f"gateway_channelkey|{key.id}|sealed"
