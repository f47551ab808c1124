"""The data keys of people, as the pages use them."""

from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from accounts.audit.epoch import bump_epoch
from accounts.models import Organisation, User
from accounts.secrets.sealing import vault
from content.data_keys.sealing import owner_of, place_of_key
from content.models import DataKey
from lib.vault import VaultError


def open_data_key(id: UUID) -> AESGCM:
    """Return a data key. Raises VaultError if it was destroyed, or needs another KEK."""
    row = DataKey.objects.filter(id=id).first()
    if row is None:
        raise VaultError("The data key of this text was destroyed.")
    return AESGCM(vault().open_bytes(bytes(row.sealed), place_of_key(id)))


def destroy_data_keys(person: User, organisation: Organisation | None) -> int:
    """Destroy the data keys of a person in an organisation, or in all of them. Nothing that they
    asked can be read again. Return their number.

    Web processes have data keys in memory until the epoch changes. A person who is a member again
    by then has another key from then on."""
    keys = DataKey.objects.filter(owner=owner_of(person.id, UUID(int=0)))
    if organisation is not None:
        keys = keys.filter(organisation=organisation)
    destroyed = keys.delete()[0]
    bump_epoch()
    return destroyed
