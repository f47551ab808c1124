"""Envelope encryption of secrets at rest.

A random data key seals the secret, and a key encryption key (KEK) seals the data key. The place of
the secret (`table|row id|field`) is associated data, so a ciphertext that is moved to another row
cannot be opened. The KEKs are outside the database, in a ring: the first one seals, and each of
them opens what it has sealed. Sealed data contains its KEK's id, which is derived from the KEK
itself, so that two KEKs cannot have the same id by mistake.

    form 2    02 | id of the KEK (4) | nonce (12) | sealed data key (48) | nonce (12) | content
    form 1    01 |                     nonce (12) | sealed data key (48) | nonce (12) | content
"""

import base64
import binascii
import hmac
import os
from collections.abc import Collection
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FORM: Final = b"\x02"
_FORM_WITHOUT_ID: Final = b"\x01"
_NONCE: Final = 12
_ID: Final = 4
CHECK_PLACE: Final = "accounts_secretcheck|1|sealed"
_WRAPPED: Final = _NONCE + 32 + 16
_CONTENT_MIN: Final = _NONCE + 16
PREFIX_BYTES: Final = len(FORM) + _ID
"""How many bytes of sealed data identify its form and KEK."""
HEAD_BYTES_MAX: Final = PREFIX_BYTES + _WRAPPED
"""How many bytes of sealed data `Vault.rewrapped` needs."""


class VaultError(Exception):
    """The secret cannot be opened: the KEK or the context is wrong, or the bytes are damaged."""


class WrongSecret(VaultError):
    """A secret of the installation is invalid, or does not match the database."""


class Kek(NamedTuple):
    """A key encryption key: its id as hex, and its text in the configuration."""

    id: str
    text: str
    cipher: AESGCM


class Vault:
    """Seals and opens secrets with a ring of KEKs, each 32 bytes in base64, separated by commas or
    line ends. Raises WrongSecret for an invalid or repeated one."""

    def __init__(self, keks: str) -> None:
        self.keks = [_kek(text) for text in split_keks(keks)]
        self._by_id = {bytes.fromhex(kek.id): kek for kek in self.keks}
        if not self.keks:
            raise WrongSecret("WEIR_KEK holds no key. Make one of 32 random bytes, in base64.")
        if len(self._by_id) < len(self.keks):
            raise WrongSecret("WEIR_KEK holds a key twice. Give each key once.")

    @property
    def current(self) -> Kek:
        """Return the KEK that seals."""
        return self.keks[0]

    @property
    def current_prefix(self) -> bytes:
        """Return the prefix of everything that this vault seals."""
        return FORM + bytes.fromhex(self.current.id)

    def seal(self, secret: str, place: str) -> bytes:
        return self.seal_bytes(secret.encode(), place)

    def seal_bytes(self, content: bytes, place: str) -> bytes:
        """Seal bytes. See `seal`."""
        data_key, nonce, bound = AESGCM.generate_key(256), os.urandom(_NONCE), place.encode()
        sealed = AESGCM(data_key).encrypt(nonce, content, bound)
        return self._wrap(data_key, bound) + nonce + sealed

    def open(self, sealed: bytes, place: str) -> str:
        """Return the secret sealed for that place. Raises VaultError."""
        return self.open_bytes(sealed, place).decode()

    def open_bytes(self, sealed: bytes, place: str) -> bytes:
        """Open what `seal_bytes` sealed."""
        begin, bound = _head_bytes(sealed), place.encode()
        if len(sealed) < begin + _CONTENT_MIN:
            raise VaultError("The stored secret has an unknown form.")
        data_key, _ = self._unwrap(sealed[:begin], bound)
        nonce, rest = sealed[begin : begin + _NONCE], sealed[begin + _NONCE :]
        try:
            return AESGCM(data_key).decrypt(nonce, rest, bound)
        except InvalidTag as error:
            raise VaultError("The stored secret is damaged. Enter it again.") from error

    def kek_of(self, sealed: bytes, place: str) -> Kek:
        """Return the KEK of data sealed for a context. Raises VaultError if no KEK of the ring
        opens the data."""
        return self._unwrap(sealed[: _head_bytes(sealed)], place.encode())[1]

    def rewrapped(self, head: bytes, place: str) -> tuple[bytes, bytes]:
        """Seal the data key again under the current KEK. Return the old head and its replacement;
        the rest of the sealed value stays. `head` has at least HEAD_BYTES_MAX bytes, or the whole
        value. Raises VaultError."""
        before = head[: _head_bytes(head)]
        bound = place.encode()
        return before, self._wrap(self._unwrap(before, bound)[0], bound)

    def _wrap(self, data_key: bytes, bound: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return self.current_prefix + nonce + self.current.cipher.encrypt(nonce, data_key, bound)

    def _unwrap(self, head: bytes, bound: bytes) -> tuple[bytes, Kek]:
        wrapped = head[-_WRAPPED:]
        for kek in self._keks_for(head):
            try:
                return kek.cipher.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], bound), kek
            except InvalidTag:
                continue
        raise VaultError(
            "The stored secret does not open with this WEIR_KEK. "
            "Use the one that it was sealed with."
        )

    def _keks_for(self, head: bytes) -> list[Kek]:
        if head[:1] == _FORM_WITHOUT_ID:
            return self.keks
        id = head[1:PREFIX_BYTES]
        if id not in self._by_id:
            raise VaultError(
                f"The stored secret needs key {id.hex()}, which WEIR_KEK does not hold. Add it."
            )
        return [self._by_id[id]]


def split_keks(keks: str) -> list[str]:
    """Return the texts of a ring's KEKs, the current one first."""
    return [text.strip() for text in keks.replace("\n", ",").split(",") if text.strip()]


def kek_id(prefix: bytes) -> str | None:
    """Return the id, in hex, of the KEK in the first PREFIX_BYTES of a sealed value. Return None
    for a value that was sealed before ids existed."""
    return prefix[1:PREFIX_BYTES].hex() if prefix[:1] == FORM else None


def check_value(kek: str, pepper: str) -> bytes:
    """Return the value by which a database recognises these two secrets. It reveals neither."""
    return Vault(kek).seal_bytes(_digest(pepper), CHECK_PLACE)


def check_secrets(kek: str, pepper: str, kept: bytes, needed: Collection[str] = ()) -> None:
    """Raise WrongSecret if `kept` was not made with these two secrets, or if the ring lacks a KEK
    that is `needed` (by id). Raise VaultError for an invalid KEK."""
    vault = Vault(kek)
    try:
        digest = vault.open_bytes(kept, CHECK_PLACE)
    except VaultError as error:
        raise WrongSecret(
            "WEIR_KEK is not the one that this database was made with. "
            "Start with that one: the keys of channels open with no other."
        ) from error
    lacking = sorted(set(needed) - {kek.id for kek in vault.keks})
    if lacking:
        raise WrongSecret(
            f"WEIR_KEK lacks key {lacking[0]}, which something in this database is sealed with. "
            "Add that key behind the first one, and take it out once `weir rotate_secrets` "
            "says that nothing needs it."
        )
    if not hmac.compare_digest(digest, _digest(pepper)):
        raise WrongSecret(
            "WEIR_KEY_PEPPER is not the one that this database was made with. "
            "Start with that one: no key that was given out works with another."
        )


def _kek(text: str) -> Kek:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WrongSecret(_base64_error(text)) from error
    if len(key) != 32:
        raise WrongSecret(f"WEIR_KEK holds {len(key)} bytes; it must hold 32.")
    id = hmac.digest(key, b"weir kek id", "sha256")[:_ID].hex()
    return Kek(id, text, AESGCM(key))


def _head_bytes(sealed: bytes) -> int:
    """Return the number of bytes before the content's nonce. Raises VaultError for an unknown
    form."""
    size = {FORM: HEAD_BYTES_MAX, _FORM_WITHOUT_ID: HEAD_BYTES_MAX - _ID}.get(sealed[:1])
    if size is None or len(sealed) < size:
        raise VaultError("The stored secret has an unknown form.")
    return size


def _base64_error(kek: str) -> str:
    standard = kek.translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        return "WEIR_KEK is not base64. Make one of 32 random bytes."
    if "-" in kek or "_" in kek:
        return (
            "WEIR_KEK is URL-safe base64. Give the same bytes in standard base64: "
            "+ for -, / for _, and = at the end until its length is a multiple of 4."
        )
    return "WEIR_KEK is base64 without the = at its end. Add it."


def _digest(pepper: str) -> bytes:
    return hmac.digest(pepper.encode(), b"WEIR_KEY_PEPPER", "sha256")
