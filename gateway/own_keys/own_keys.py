"""Provider keys that organisations and teams bring: each write with its checks, its audit event and
the notification of the relays.

A key is sealed for its row and never leaves it again: it can be replaced, not read. It is sent to
no address but that of the channel it was given for: a channel that moves forgets it.
"""

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db import transaction
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from accounts.models import Organisation, Team
from accounts.secrets.sealing import open_sealed, pepper, seal
from gateway.channels.brought_keys import lock_address
from gateway.channels.fields import check_secret, provider_of
from gateway.models import Channel, OwnKey, OwnKeyOffer
from gateway.own_keys.cloud_keys import names_source, own_base_url
from gateway.providers.provider import BadAddress
from lib import clock
from lib.ids import new_id
from lib.refusal import Refused, check_text
from lib.vault import VaultError

NAME_MAX: Final = 120


class OwnKeyRefused(Refused):
    """The key cannot be so."""


def add_own_key(
    actor: Actor,
    organisation: Organisation,
    team: Team | None,
    offer: OwnKeyOffer,
    *,
    name: str,
    secret: str,
    fall_back: bool = False,
) -> OwnKey:
    """Store a key of an organisation, or of one of its teams, for an offered channel. Raises
    OwnKeyRefused, and ChannelRefused for a secret that cannot be sent in a header."""
    name = _checked_name(name, offer.title)
    with transaction.atomic():
        lock_address(offer.channel_id)
        channel = Channel.objects.get(id=offer.channel_id)
        same = OwnKey.objects.filter(organisation=organisation, team=team, channel=channel).first()
        if same is not None:
            text = gettext("There is already a key for %(provider)s, %(name)s. Replace its secret.")
            named = text % {"provider": offer.title, "name": same.name}
            raise OwnKeyRefused("offer", named, already_exists=True)
        key = OwnKey(
            id=new_id(),
            organisation=organisation,
            team=team,
            channel=channel,
            name=name,
            fall_back=fall_back,
            created_by=actor.user,
            created_at=clock.now(),
        )
        _set_secret(key, channel, secret)
        key.save(force_insert=True)
        audit.record(
            actor, organisation, "own_key.added", key, name=key.name, provider=offer.title,
            team="" if team is None else team.slug, fall_back=fall_back,
        )  # fmt: skip
        bump_epoch()
    return key


def rotate_own_key(actor: Actor, key: OwnKey, secret: str) -> OwnKey:
    """Replace the secret of a key. Raises ChannelRefused for a secret that cannot be sent in a
    header."""
    with transaction.atomic():
        locked = _lock_own_key(key)
        _set_secret(locked, locked.channel, secret)
        locked.rotated_at, locked.refused_at, locked.refusal = clock.now(), None, ""
        locked.save()
        audit.record(actor, locked.organisation, "own_key.rotated", locked, name=locked.name)
        bump_epoch()
    return locked


def change_own_key(
    actor: Actor,
    key: OwnKey,
    *,
    name: str | None = None,
    enabled: bool | None = None,
    fall_back: bool | None = None,
) -> OwnKey:
    """Set the given values: the name, whether requests use the key, and whether they fall back to
    the installation's channels. Raises OwnKeyRefused."""
    with transaction.atomic():
        locked = _lock_own_key(key)
        with _record_change(actor, locked):
            if name is not None:
                locked.name = _checked_name(name, locked.name)
            if enabled is not None:
                locked.enabled = enabled
            if fall_back is not None:
                locked.fall_back = fall_back
    return locked


def remove_own_key(actor: Actor, key: OwnKey) -> None:
    """Remove a key with its secret. Requests then use the installation's channels."""
    with transaction.atomic():
        locked = _lock_own_key(key)
        audit.record(actor, locked.organisation, "own_key.removed", locked, name=locked.name)
        locked.delete()
        bump_epoch()


def open_own_secret(key: OwnKey) -> str:
    """Return the decrypted secret, which may only be sent to `own_base_url`. Raises VaultError,
    also where the secret was forgotten."""
    if key.sealed is None:
        raise VaultError("the key has lost its secret")
    return open_sealed(key.sealed, _seal_context(key))


def secret_digest(text: str) -> bytes:
    """Return a digest that tells whether a key differs from the stored one, and reveals nothing
    else."""
    return hmac.digest(pepper().encode(), b"gateway_ownkey|" + text.encode(), hashlib.sha256)


def _lock_own_key(key: OwnKey) -> OwnKey:
    rows = OwnKey.objects.select_related("organisation", "channel")
    return rows.select_for_update(of=("self",)).get(id=key.id)


@contextmanager
def _record_change(actor: Actor, key: OwnKey) -> Iterator[None]:
    before = _audit_details(key)
    yield
    after = _audit_details(key)
    changed = [name for name in after if before[name] != after[name]]
    if not changed:
        return
    key.save()
    audit.record(
        actor, key.organisation, "own_key.changed", key, name=key.name,
        before={name: before[name] for name in changed},
        after={name: after[name] for name in changed},
    )  # fmt: skip
    bump_epoch()


def _audit_details(key: OwnKey) -> dict[str, object]:
    return {"name": key.name, "enabled": key.enabled, "fall_back": key.fall_back}


def _checked_name(name: str, otherwise: str) -> str:
    return check_text("name", name, NAME_MAX) or otherwise


def _set_secret(key: OwnKey, channel: Channel, secret: str) -> None:
    check_secret(channel, secret)
    if names_source(provider_of(channel), secret):
        text = gettext(
            "This key only names a source of temporary credentials, which this installation would "
            "ask with its own rights. Enter a key that is complete."
        )
        raise OwnKeyRefused("secret", text)
    try:
        own_base_url(provider_of(channel), channel.base_url, channel.region, secret)
    except BadAddress as error:
        text = gettext("The key cannot be used: %(reason)s.") % {"reason": str(error)}
        raise OwnKeyRefused("secret", text) from error
    digest = secret_digest(secret)
    if bytes(key.digest) == digest:
        raise OwnKeyRefused("secret", gettext("This is the stored key. Enter another one."))
    key.digest = digest
    source = provider_of(channel).credential_source_of(secret)
    key.last4 = secret[-4:] if source is None and len(secret) >= 12 else ""
    if source is not None:
        key.last4 = source.ending
    key.sealed = seal(secret, _seal_context(key))


def _seal_context(key: OwnKey) -> str:
    """Return the place that relay/catalogue/snapshot_build.py opens the key for."""
    return f"gateway_ownkey|{key.id}|sealed"
