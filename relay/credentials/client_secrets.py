"""Client secrets: credentials that open realtime sessions for a short time, so that a web page
never holds an API key.

    ek_ + URL-safe base64 of    form (1) | nonce (12) | sealed content, with its tag (16)
    content                     JSON of `ClientSecret`

Nothing is stored. The content is sealed by AES-256-GCM under a key that is derived from the pepper,
so every process of an installation opens what another one sealed, also after a restart. A secret
contains the digest of the key that created it. The key is looked up again at each use (P11):
whatever ends or limits the key ends or limits its client secrets.
"""

import base64
import os
import re
from functools import lru_cache
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from accounts.keys.key_format import CLIENT_SECRET_PREFIX
from accounts.organisations.data_policy import NO_POLICY, DataPolicy
from dialects.errors.errors import RequestFault
from relay.errors import RelayError
from relay.requests.labels import NO_LABELS, Labels

CONTENT_BYTES_MAX: Final = 5_000
"""The longest content: its secret fits into one header of 8 KiB, the default limit of proxies."""

_FORM: Final = b"\x01"
_NONCE: Final = 12
_TAG: Final = 16
_PURPOSE: Final = b"weir client secret, AES-256-GCM"
_TEXT_MAX: Final = -(-(len(_FORM) + _NONCE + CONTENT_BYTES_MAX + _TAG) * 4 // 3)
_TEXT: Final = re.compile(r"[0-9A-Za-z_-]+")


class ClientSecret(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a secret contains: the digest of its key, its end in Unix seconds, the settings of its
    sessions in OpenAI's form, and what the headers of its creation say about its sessions.
    """

    digest: bytes
    expires_at: int
    session: dict[str, Any]
    labels: Labels = NO_LABELS
    data_policy: DataPolicy = NO_POLICY
    max_cost_nano: int | None = None
    session_cap_nano: int | None = None


class SecretRefused(RequestFault):
    """A client secret opens nothing here; the message says why."""

    def __init__(self, reason: str) -> None:
        super().__init__("authentication", None, "")
        self.message = f"{self.message}: {reason}"


class SecretTooLong(RelayError):
    """The content exceeds its maximum; `size` is its bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"{size} bytes")
        self.size = size


_decoder: Final = msgspec.json.Decoder(ClientSecret)


def seal(pepper: str, secret: ClientSecret) -> str:
    """Return the text of a secret. Raises SecretTooLong."""
    content = msgspec.json.encode(secret)
    if len(content) > CONTENT_BYTES_MAX:
        raise SecretTooLong(len(content))
    nonce = os.urandom(_NONCE)
    return _encode(_FORM + nonce + _cipher(pepper).encrypt(nonce, content, _FORM))


def open_sealed(pepper: str, text: str) -> ClientSecret | None:
    """Return what a text contains, whether it has expired or not; None for any text that was not
    sealed under this pepper.
    """
    body = text.removeprefix(CLIENT_SECRET_PREFIX)
    if body == text or len(body) > _TEXT_MAX or _TEXT.fullmatch(body) is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    except ValueError:
        return None
    # Decoders ignore the last bits of some lengths: a secret has one text only.
    if _encode(raw) != text or raw[: len(_FORM)] != _FORM:
        return None
    nonce, sealed = raw[len(_FORM) : len(_FORM) + _NONCE], raw[len(_FORM) + _NONCE :]
    if len(sealed) < _TAG:
        return None
    try:
        return _decoder.decode(_cipher(pepper).decrypt(nonce, sealed, _FORM))
    except InvalidTag:
        return None


def is_client_secret(key: str | None) -> bool:
    """Return whether the text of a key is that of a client secret, valid or not."""
    return key is not None and key.startswith(CLIENT_SECRET_PREFIX)


def _encode(raw: bytes) -> str:
    return CLIENT_SECRET_PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("=")


@lru_cache(4)
def _cipher(pepper: str) -> AESGCM:
    """Return the cipher of an installation. Its key is used for nothing else."""
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE)
    return AESGCM(derived.derive(pepper.encode()))
