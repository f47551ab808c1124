"""Seal texts with the data key of the person who asked.

A data key has 256 bits. The installation's vault seals it for its own row; it seals texts by
AES-GCM with a nonce of 12 bytes in front, for their place in the database.
"""

import os
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lib.vault import VaultError

_NONCE: Final = 12
_BITS: Final = 256


def new_data_key() -> bytes:
    return AESGCM.generate_key(_BITS)


def owner_of(user_id: int | None, key_id: UUID) -> str:
    """Return whose data key seals a request: its person's, or its key's if it has no person."""
    return f"key:{key_id}" if user_id is None else f"user:{user_id}"


def place_of_key(id: UUID) -> str:
    """Return the place that the vault seals a data key for."""
    return f"content_datakey|{id}|sealed"


def place_of_entry(organisation_id: UUID, request_id: UUID) -> str:
    """Return the place that a data key seals an entry of the content log for."""
    return f"content log|{organisation_id}/{request_id}"


def seal(data_key: AESGCM, content: bytes, place: str) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + data_key.encrypt(nonce, content, place.encode())


def open_sealed(data_key: AESGCM, sealed: bytes, place: str) -> bytes:
    """Raises VaultError if it was sealed with another key or for another place, or is damaged."""
    try:
        return data_key.decrypt(sealed[:_NONCE], sealed[_NONCE:], place.encode())
    except (InvalidTag, ValueError) as error:
        raise VaultError("The text does not open with this data key.") from error
