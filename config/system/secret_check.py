"""Check that this process has the secrets of its database.

With other secrets, no channel key could be opened and no client key would be recognised, and the
right secrets could not open anything that this process seals. The relay makes the same comparison
without Django when it starts.
"""

from django.conf import settings
from django.db import transaction

from accounts.models import SecretCheck
from accounts.secrets import sealing
from gateway.channels.sealed_keys import open_secret
from gateway.models import ChannelKey
from lib import env, vault
from lib.database.writer import check_writer


def check_secrets() -> None:
    """Compare the secrets with the stored check, or store the check. Raises ConfigurationError,
    also for a read replica, or VaultError."""
    env.require_value("SECRET_KEY", settings.SECRET_KEY_GIVEN)
    kek, pepper = sealing.kek(), sealing.pepper()
    check_writer()
    with transaction.atomic():
        if not SecretCheck.objects.exists():
            row = SecretCheck(sealed=vault.check_value(kek, pepper))
            _check_channel_keys()
            SecretCheck.objects.bulk_create([row], ignore_conflicts=True)
        kept = SecretCheck.objects.select_for_update().get()
        vault.check_secrets(kek, pepper, bytes(kept.sealed), kept.kek_ids)
        # From now on, sealed values may use this process's first key.
        current = sealing.vault().current.id
        if current not in kept.kek_ids:
            kept.kek_ids = [*kept.kek_ids, current]
            kept.save(update_fields=["kek_ids"])


def compare_secrets(*, all_keks: bool = True) -> None:
    """Compare the secrets with the stored check, if there is one, without writing. Without
    `all_keks`, a missing key that sealed values may use is not an error. Raises the same errors as
    `check_secrets`."""
    kept = SecretCheck.objects.first()
    if kept is not None:
        needed = kept.kek_ids if all_keks else ()
        vault.check_secrets(sealing.kek(), sealing.pepper(), bytes(kept.sealed), needed)


def _check_channel_keys() -> None:
    """Compare with the channel keys, in a database from before the stored check."""
    keys = ChannelKey.objects.all()
    if keys and not any(_can_open(key) for key in keys):
        raise vault.WrongSecret(
            "WEIR_KEK cannot decrypt any of the channel keys in this database. Start with the one"
            " they were stored with."
        )


def _can_open(key: ChannelKey) -> bool:
    try:
        open_secret(key)
    except vault.VaultError:
        return False
    return True
