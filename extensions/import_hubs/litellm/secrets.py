"""Decrypt LiteLLM's secrets with its salt key (proxy/common_utils of 1.106).

The key is the SHA-256 of the salt key, or of the master key without one. A value is a NaCl secret
box in base64, or AES-256-GCM after a prefix.
"""

import base64
import binascii
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_GCM: Final = "v2:gcm:"
_NONCE: Final = 12
_SEALED_MIN: Final = 40


class Sealed(ValueError):
    """The value cannot be decrypted. The text says what is missing."""


@dataclass(frozen=True)
class SaltKey:
    """The key to a database's secrets. If `text` is "", encrypted values stay unreadable, and plain
    values are read."""

    text: str = field(default="", repr=False)

    def open(self, value: str) -> str:
        """Return the plain text of a stored value. Raises Sealed."""
        gcm = value.startswith(_GCM)
        octets = _octets(value.removeprefix(_GCM))
        if octets is None or (not gcm and len(octets) < _SEALED_MIN):
            return value
        if not self.text:
            raise Sealed("its settings are encrypted: give LiteLLM's salt key by --salt-key")
        key = sha256(self.text.encode()).digest()
        try:
            opened = _open_gcm(key, octets) if gcm else _open_box(key, octets)
            return opened.decode()
        except (InvalidTag, ValueError) as error:
            raise Sealed("its settings cannot be decrypted with this salt key") from error


def _open_gcm(key: bytes, octets: bytes) -> bytes:
    return AESGCM(key).decrypt(octets[:_NONCE], octets[_NONCE:], None)


def _open_box(key: bytes, octets: bytes) -> bytes:
    """Raises ValueError if the key is wrong."""
    # An extra that few installations need; `import_from` asks for it before it reads anything.
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox

    try:
        return SecretBox(key).decrypt(octets)
    except CryptoError as error:
        raise ValueError(str(error)) from error


def _octets(value: str) -> bytes | None:
    """Decode base64. Return None for a plain text."""
    try:
        return base64.b64decode(value, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
