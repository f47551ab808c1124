"""The keys that organisations and teams bring for a channel: they are forgotten when its address
changes (gateway/own_keys/own_keys.py)."""

from uuid import UUID

from django.db import connection, transaction

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from gateway.models import Channel, OwnKey


def forget_secrets_of(actor: Actor, channel: Channel) -> None:
    """Forget the secrets of all keys for a channel whose address changes, in the transaction that
    changes it. The keys stay, so that what may only use them goes nowhere else."""
    with transaction.atomic():
        lock_address(channel.id)
        keys = list(OwnKey.objects.filter(channel=channel).exclude(sealed=None))
        for key in keys:
            key.sealed, key.digest, key.last4 = None, b"", ""
            key.save(update_fields=["sealed", "digest", "last4"])
            audit.record(actor, key.organisation, "own_key.forgotten", key, name=key.name)
        if keys:
            bump_epoch()


def lock_address(channel_id: UUID) -> None:
    """Prevent that a key is added for a channel while its address changes. Tenants cannot lock the
    channel's row."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('weir own keys'), hashtext(%s))",
            [str(channel_id)],
        )
