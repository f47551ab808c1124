"""Texts that clients keep for us and cannot read: URL-safe base64 of

    form (1) | nonce (12) | sealed content, with its tag (16)

The content is sealed by AES-256-GCM under a key that is derived from the pepper for one purpose, so
every process of an installation opens what another one sealed, also after a restart.
"""

import base64
import os
import re
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_FORM: Final = b"\x01"
_NONCE: Final = 12
_TAG: Final = 16
_TEXT: Final = re.compile(r"[0-9A-Za-z_-]+")


def seal_text(pepper: str, purpose: bytes, content: bytes) -> str:
    """Seal content into a text."""
    nonce = os.urandom(_NONCE)
    return _encode(_FORM + nonce + _cipher(pepper, purpose).encrypt(nonce, content, _FORM))


def open_text(pepper: str, purpose: bytes, text: str, content_bytes_max: int) -> bytes | None:
    """Return the content of a sealed text; None for a text that was not sealed for this purpose, or
    is too long."""
    longest = -(-(len(_FORM) + _NONCE + content_bytes_max + _TAG) * 4 // 3)
    if len(text) > longest or _TEXT.fullmatch(text) is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    # Decoders ignore the last bits of some lengths: a content has one text only.
    if _encode(raw) != text or raw[: len(_FORM)] != _FORM:
        return None
    nonce, sealed = raw[len(_FORM) : len(_FORM) + _NONCE], raw[len(_FORM) + _NONCE :]
    if len(sealed) < _TAG:
        return None
    try:
        return _cipher(pepper, purpose).decrypt(nonce, sealed, _FORM)
    except InvalidTag:
        return None


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@lru_cache(8)
def _cipher(pepper: str, purpose: bytes) -> AESGCM:
    """Return the cipher of an installation for one purpose. The key derived for it serves nothing
    else."""
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose)
    return AESGCM(derived.derive(pepper.encode()))
