"""Channels: writes with validation, an audit event and a notification of the relays.

A provider's key is sealed for its row. It can be replaced, but never read back. If a channel's
address changes, including its proxy and certificate authorities, the same write removes its stored
secrets, so that none is ever sent to an address that it was not given for.
"""

import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields as dataclass_fields
from typing import Any, NamedTuple, TypeVar, cast

from django.db import transaction
from django.utils.translation import gettext

from accounts.access.actors import SYSTEM, Actor
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from accounts.names.names import first_free_name
from accounts.secrets.sealing import pepper
from gateway.breaker.breaker import BreakerRule
from gateway.channels import bounds as bounds
from gateway.channels.brought_keys import forget_secrets_of
from gateway.channels.channel_tests.rules import Cause, CheckRule, TakenOut
from gateway.channels.egress import address_of, check_route, copy_secrets, facts_of, set_secrets
from gateway.channels.fields import (
    PARTS,
    PLAIN,
    ROUTE_FIELDS,
    ChannelFields,
    check_name,
    check_routes,
    check_secret,
    check_settings,
    provider_of,
)
from gateway.channels.overrides.conditions import check_conditions
from gateway.channels.overrides.overrides import check_overrides, check_rule_teams
from gateway.channels.passthrough.passthrough import check_rules, price_rules, rules_of
from gateway.channels.products import check_products
from gateway.channels.refusals import ChannelRefused, ChannelStale
from gateway.channels.sealed_keys import open_secret, seal_secret
from gateway.channels.timeouts import Timeouts
from gateway.models import Channel, ChannelKey, ModelListing, Route, UpstreamPriceList
from lib import clock
from lib.ids import id_text, new_id
from lib.vault import VaultError
from outbox.facts import put

TIMEOUTS = {field.name: cast(float, field.default) for field in dataclass_fields(Timeouts)}
"""The default timeouts of a channel, in seconds."""
BREAKER = {
    field.name: cast(bool | float | None, field.default) for field in dataclass_fields(BreakerRule)
}
"""The default settings of its breaker."""
TESTING = {
    field.name: cast(bool | int | str | None, field.default)
    for field in dataclass_fields(CheckRule)
}
"""The default rule of when it is tested, and what disables it."""
_BALANCE_FIELDS = frozenset(
    {"balance_source", "balance_warn_below_nano", "balance_rest_below_nano", "keys"}
)


class FieldsOfChannel(NamedTuple):
    """The fields to set on one channel. The operator saw the version `seen` of the channel."""

    channel: Channel
    fields: ChannelFields
    seen: str | None


def create_channel(actor: Actor, name: str, fields: ChannelFields) -> Channel:
    """Create a channel. Raises ChannelRefused."""
    check_name(name)
    channel = Channel(name=name, timeouts=dict(TIMEOUTS))
    return _save(actor, channel, fields, "channel.created")


def free_name(name: str) -> str:
    """Return a name for a new channel: the given name, or if it is taken, the next free one, such
    as `openai-2`."""
    taken = set(Channel.objects.values_list("name", flat=True))
    return first_free_name(name, taken, joint="-")


def change_channel(
    actor: Actor, channel: Channel, fields: ChannelFields, *, seen: str | None = None
) -> Channel:
    """Set the given fields of a channel. `seen` is the version that the operator saw. Raises
    ChannelRefused, and ChannelStale if the channel has changed since."""
    with transaction.atomic():
        locked = _lock_channel(channel)
        if seen is not None and seen != version_of(locked):
            text = gettext(
                "This channel was changed in the meantime. Reload the page and try again."
            )
            raise ChannelStale("version", text)
        return _save(actor, locked, fields, "channel.changed")


def change_channels(actor: Actor, changes: Sequence[FieldsOfChannel]) -> None:
    """Change several channels, or none of them. Raises ChannelRefused, whose text names the
    channel, and ChannelStale."""
    with transaction.atomic():
        # Always in the same order, so that concurrent changes cannot deadlock.
        for change in sorted(changes, key=lambda change: change.channel.id):
            try:
                change_channel(actor, change.channel, change.fields, seen=change.seen)
            except ChannelRefused as refused:
                text = f"{change.channel.name}: {refused.message}"
                raise type(refused)(refused.field, text) from refused


def lock_channels(channels: Sequence[Channel]) -> None:
    """Lock channels in the caller's transaction, which reads afterwards what it changes."""
    ids = [channel.id for channel in channels]
    # In the order of `change_channels`.
    list(Channel.objects.select_for_update().filter(id__in=ids).order_by("id").values_list("id"))


def copy_channel(actor: Actor, channel: Channel, name: str) -> Channel:
    """Create a disabled copy of a channel with another name, with its keys and models. Raises
    ChannelRefused."""
    check_name(name)
    with transaction.atomic():
        source = _lock_channel(channel)
        copy = Channel(name=name)
        for field in PARTS:
            setattr(copy, field, getattr(source, field))
        for field in PLAIN:
            setattr(copy, field, getattr(source, field))
        copy.enabled = False
        copy_secrets(source, copy)
        with _record_change(actor, copy, "channel.created", copy_of=source.name):
            copy.save()
            for key in source.keys.all():
                _new_key(copy, _decrypt_key(key), key.position, disabled_at=key.disabled_at).save()
            for route in source.routes.all():
                route.pk, route.channel = None, copy
                route.save(force_insert=True)
            price_rules(actor, name, rules_of(copy))
    return copy


def archive_channel(actor: Actor, channel: Channel) -> Channel:
    """Disable and archive a channel, with its keys. It can be restored."""
    with transaction.atomic():
        fields: ChannelFields = {"archived": True, "enabled": False}
        return _save(actor, _lock_channel(channel), fields, "channel.archived")


def restore_channel(actor: Actor, channel: Channel) -> Channel:
    """Restore an archived channel, disabled."""
    with transaction.atomic():
        return _save(actor, _lock_channel(channel), {"archived": False}, "channel.restored")


def take_out(channel: Channel, why: TakenOut) -> bool:
    """Disable a channel by its rule, and notify the operators. Return False if it is disabled
    already."""
    with transaction.atomic():
        locked = _lock_channel(channel)
        if not locked.enabled:
            return False
        with _record_change(SYSTEM, locked, "channel.taken_out", cause=why.cause, what=why.what):
            locked.enabled = False
            locked.taken_out = {**why._asdict(), "at": clock.now().isoformat()}
            locked.save(update_fields=["enabled", "taken_out"])
        put(
            "channel.taken_out", None, channel=locked.name, channel_id=str(locked.id),
            cause=why.cause, what=why.what,
        )  # fmt: skip
    return True


def take_in(channel: Channel, causes: Collection[Cause]) -> bool:
    """Enable a channel that its rule disabled for one of the causes. Return False if it was not
    disabled so."""
    with transaction.atomic():
        locked = _lock_channel(channel)
        if locked.enabled or locked.taken_out is None or locked.taken_out["cause"] not in causes:
            return False
        with _record_change(SYSTEM, locked, "channel.taken_in", cause=locked.taken_out["cause"]):
            locked.enabled, locked.taken_out, locked.taken_in_at = True, None, clock.now()
            locked.save(update_fields=["enabled", "taken_out", "taken_in_at"])
    return True


def add_key(actor: Actor, channel: Channel, secret: str) -> ChannelKey:
    """Add a key at the end of a channel's keys. Raises ChannelRefused."""
    with transaction.atomic():
        locked = _lock_channel(channel)
        keys = list(locked.keys.all())
        _check_count(len(keys) + 1)
        digest = secret_digest(secret)
        same = next((key for key in keys if bytes(key.digest) == digest), None)
        if same is not None:
            text = gettext("This channel already has this key: %(id)s, ending in %(last4)s.")
            named = text % {"id": id_text(same.id), "last4": same.last4}
            raise ChannelRefused("keys", named, already_exists=True)
        with _record_change(actor, locked, "channel.changed"):
            position = keys[-1].position + 1 if keys else 0
            key = _new_key(locked, secret, position)
            key.save(force_insert=True)
    return key


def switch_key(actor: Actor, channel: Channel, key: ChannelKey, *, enabled: bool) -> None:
    """Enable or disable a key. Its secret stays stored."""
    with transaction.atomic():
        locked = _lock_channel(channel)
        with _record_change(actor, locked, "channel.changed"):
            at = None if enabled else clock.now()
            locked.keys.filter(id=key.id).update(disabled_at=at)


def remove_key(actor: Actor, channel: Channel, key: ChannelKey) -> None:
    """Remove a key and its secret from a channel."""
    with transaction.atomic():
        locked = _lock_channel(channel)
        with _record_change(actor, locked, "channel.changed"):
            locked.keys.filter(id=key.id).delete()


def switch_capability(
    actor: Actor, channel: Channel, model: str, capability: str, on: bool | None
) -> Channel:
    """Override the catalogue for a capability of a channel's model; None removes the override.
    Raises ChannelRefused."""
    with transaction.atomic():
        locked = _lock_channel(channel)
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
    """Remove a channel with its secrets and routes. Usage records keep its name. Raises
    ChannelRefused where organisations have keys of their own for it."""
    if channel.own_keys.exists():
        text = gettext(
            "Organisations have added their own keys for this channel. Archive it instead: "
            "requests that may only use these keys would otherwise use the installation's."
        )
        raise ChannelRefused("name", text)
    with transaction.atomic():
        audit.record(actor, None, "channel.removed", channel, name=channel.name)
        price_rules(actor, channel.name, ())
        channel.delete()
        bump_epoch()


def secret_digest(text: str) -> bytes:
    """Return a digest that tells whether a provider's key differs from the stored one."""
    return hmac.digest(pepper().encode(), b"gateway_channelkey|" + text.encode(), "sha256")


def version_of(channel: Channel) -> str:
    """Return a version that differs after every change of a field that a write may set."""
    facts = json.dumps(_facts(channel), sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def parts_of(channel: Channel) -> dict[str, Any]:
    """Return the settings that consist of several parts. Parts that are not stored have their
    default."""
    return {
        "overrides": channel.overrides,
        "pass_through": channel.pass_through,
        "timeouts": {**TIMEOUTS, **channel.timeouts},
        "breaker": {**BREAKER, **channel.breaker},
        "testing": {**TESTING, **channel.testing},
    }


def routes_of(channel: Channel) -> ChannelFields:
    """Return the stored routes as fields for a write."""
    routes = list(channel.routes.all())
    return {
        "models": {route.model: route.upstream_model for route in routes},
        "can": {route.model: route.can for route in routes if route.can},
        "priorities": {
            route.model: route.priority for route in routes if route.priority is not None
        },
        "weights": {route.model: route.weight for route in routes if route.weight is not None},
        "model_timeouts": {route.model: route.timeouts for route in routes if route.timeouts},
    }


def _lock_channel(channel: Channel) -> Channel:
    return Channel.objects.select_for_update().get(id=channel.id)


@contextmanager
def _record_change(actor: Actor, channel: Channel, action: str, **more: object) -> Iterator[None]:
    """Run a change of a channel in one transaction with its audit event and its notification."""
    before = _facts(channel)
    with transaction.atomic():
        yield
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
            **more,
        )
        bump_epoch()


def _save(actor: Actor, channel: Channel, fields: ChannelFields, action: str) -> Channel:
    address, source = address_of(channel), channel.balance_source
    with _record_change(actor, channel, action):
        _set(channel, fields)
        check_settings(channel)
        check_route(channel)
        moved = address != address_of(channel)
        set_secrets(channel, fields, moved=moved)
        channel.overrides = check_overrides(provider_of(channel), channel.overrides)
        channel.pass_through = check_rules(provider_of(channel), channel.pass_through)
        channel.save()
        if "pass_through" in fields:
            price_rules(actor, channel.name, rules_of(channel))
        keys: Sequence[str | ChannelKey] | None = fields.get("keys")
        if moved:
            # Another provider's list says nothing about this one's models.
            ModelListing.objects.filter(channel=channel).delete()
            UpstreamPriceList.objects.filter(channel=channel).delete()
            forget_secrets_of(actor, channel)
            keys = keys or ()
            if any(isinstance(key, ChannelKey) for key in keys):
                text = gettext(
                    "Changing the address removes the stored keys. Enter the keys again."
                )
                raise ChannelRefused("keys", text)
        if source != channel.balance_source:
            channel.keys.update(balance=None)
        if keys is not None:
            _replace_keys(channel, keys, moved=moved)
        if not fields.keys().isdisjoint(ROUTE_FIELDS):
            _replace_routes(channel, fields)
        if moved:
            check_products(channel, routes_of(channel)["models"])
    return channel


def _set(channel: Channel, fields: ChannelFields) -> None:
    if fields.get("enabled") and not channel.enabled:
        # What failed before counts no more, as when its rule turns it on again.
        channel.taken_in_at = clock.now()
    for name, value in fields.items():
        if name in PLAIN:
            setattr(channel, name, value)
    if "conditions" in fields:
        # Check references only if they are set: a removed target must not prevent other changes.
        channel.conditions = check_conditions(fields["conditions"])
    if "archived" in fields:
        at = channel.archived_at or clock.now()
        channel.archived_at = at if fields["archived"] else None
    if "timeouts" in fields:
        channel.timeouts = {**channel.timeouts, **fields["timeouts"]}
    if "breaker" in fields:
        channel.breaker = {**channel.breaker, **fields["breaker"]}
    if "overrides" in fields:
        check_rule_teams(fields["overrides"])
        channel.overrides = dict(fields["overrides"])
    if "pass_through" in fields:
        channel.pass_through = list(fields["pass_through"])
    if "testing" in fields:
        channel.testing = {**channel.testing, **fields["testing"]}
        channel.next_test_at = None
    if "check_models_every_h" in fields:
        channel.next_models_check_at = None
    if not _BALANCE_FIELDS.isdisjoint(fields):
        channel.next_balance_at = None
    if "enabled" in fields or "archived" in fields:
        # A manual change takes precedence over the rule.
        channel.taken_out = None


def _facts(channel: Channel) -> dict[str, object]:
    """Return the facts of a channel for the audit trail; for its keys only digests that tell them
    apart. Empty for a channel that is not stored yet."""
    if channel._state.adding:
        return {}
    return {
        **{name: getattr(channel, name) for name in PLAIN},
        **facts_of(channel),
        "archived": channel.archived_at is not None,
        **{name: getattr(channel, name) for name in PARTS},
        "keys": [_key_fact(key) for key in channel.keys.all()],
        **routes_of(channel),
    }


def _key_fact(key: ChannelKey) -> str:
    fact = f"{bytes(key.digest).hex()[:8]} …{key.last4}"
    return f"{fact} (disabled)" if key.disabled_at else fact


def _replace_routes(channel: Channel, changes: ChannelFields) -> None:
    """Set a channel's routes. Values that the write omits for remaining routes stay."""
    stored = routes_of(channel)
    fields: ChannelFields = {**stored, **changes}
    models = fields["models"]
    if "can" not in changes:
        fields["can"] = _only_models(models, stored["can"])
    if "priorities" not in changes:
        fields["priorities"] = _only_models(models, stored["priorities"])
    if "weights" not in changes:
        fields["weights"] = _only_models(models, stored["weights"])
    if "model_timeouts" not in changes:
        fields["model_timeouts"] = _only_models(models, stored["model_timeouts"])
    check_routes(fields)
    # Models that were stored before stay, so that they do not prevent other changes.
    new = {name: at for name, at in models.items() if stored["models"].get(name) != at}
    check_products(channel, new)
    channel.routes.all().delete()
    Route.objects.bulk_create(
        Route(
            channel=channel,
            model=model,
            upstream_model=upstream,
            can=dict(fields["can"].get(model, {})),
            priority=fields["priorities"].get(model),
            weight=fields["weights"].get(model),
            timeouts=dict(fields["model_timeouts"].get(model, {})),
        )
        for model, upstream in models.items()
    )


Said = TypeVar("Said")


def _only_models(models: Mapping[str, str], values: Mapping[str, Said]) -> dict[str, Said]:
    """Return the values of models that are still served."""
    return {model: value for model, value in values.items() if model in models}


def _replace_keys(
    channel: Channel, keys: Sequence[str | ChannelKey], *, moved: bool = False
) -> None:
    """Set a channel's keys, in order. A stored key that is listed again is kept, unless the
    channel's address `moved`."""
    _check_count(len(keys))
    stored = {} if moved else {bytes(key.digest): key for key in channel.keys.all()}
    channel.keys.all().delete()
    for position, secret in enumerate(keys):
        digest = bytes(secret.digest) if isinstance(secret, ChannelKey) else secret_digest(secret)
        key = stored.pop(digest, None)
        if key is None and isinstance(secret, ChannelKey):
            raise ChannelRefused("keys", gettext("This key was removed in the meantime."))
        key = key or _new_key(channel, str(secret), position)
        key.position = position
        key.save(force_insert=True)


def _check_count(keys: int) -> None:
    if keys > bounds.KEYS_MAX:
        text = gettext("A channel can have at most %(n)s keys.") % {"n": bounds.KEYS_MAX}
        raise ChannelRefused("keys", text)


def _new_key(
    channel: Channel, secret: str, position: int, disabled_at: dt.datetime | None = None
) -> ChannelKey:
    check_secret(channel, secret)
    key = ChannelKey(id=new_id(), channel=channel, position=position, created_at=clock.now())
    key.digest = secret_digest(secret)
    source = provider_of(channel).credential_source_of(secret)
    key.last4 = secret[-4:] if source is None and len(secret) >= 12 else ""
    if source is not None:
        key.last4 = source.ending
    key.disabled_at = disabled_at
    key.sealed = seal_secret(key, secret)
    return key


def _decrypt_key(key: ChannelKey) -> str:
    try:
        return open_secret(key)
    except VaultError as error:
        text = gettext("A stored key cannot be decrypted. Remove it, then enter it again.")
        raise ChannelRefused("keys", text) from error
