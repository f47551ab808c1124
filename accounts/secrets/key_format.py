"""The form of an API key: prefix, 190 random bits in base62, checksum.

    relay        sk-weir-  + 32 base62 + 6 base62 of CRC32
    management   sk-weir-m + 32 base62 + 6 base62 of CRC32

The checksum covers everything before it, including the prefix. It is not a secret: it lets a
mistyped or guessed key be refused before the database is asked. Keys imported from another system
keep their own form and have no checksum. No key begins with `ek_` or `auth_tokens/`: client secrets
do (`relay/credentials/client_secrets.py`).
"""

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from enum import Enum
from hashlib import sha256
from typing import Final, Literal
from zlib import crc32

OWN_PREFIX: Final = "sk-weir-"
CLIENT_SECRET_PREFIX: Final = "ek_"  # noqa: S105 - no secret by itself
AUTH_TOKEN_PREFIX: Final = "auth_tokens/"  # noqa: S105 - no secret by itself
RANDOM_BYTES: Final = 32

KeyFormKind = Literal["relay", "management"]


_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_LENGTH: Final = 32
_CHECKSUM_LENGTH: Final = 6
_OWN: Final = re.compile(r"sk-weir-m?[0-9A-Za-z]{38}")
_PREFIXES: Final[dict[KeyFormKind, str]] = {
    "relay": OWN_PREFIX,
    "management": OWN_PREFIX + "m",
}
_SHOWN_FIRST: Final = 12
_SHOWN_LAST: Final = 4
# An imported key: 20 characters or more in any form. It contains no space, because a key is sent in
# a header.
_FOREIGN: Final = re.compile(r"[!-~]{20,}")


class KeyForm(Enum):
    """What a text is by its form: a key of ours, a key of ours with a wrong checksum, a key that
    may have been imported, or no key."""

    OWN = "own"
    OWN_BROKEN = "own_broken"
    FOREIGN = "foreign"
    IMPOSSIBLE = "impossible"


def compose(kind: KeyFormKind, random32: bytes) -> str:
    """Return the text of a new key from 32 random bytes.

    All 256 random bits are folded onto 62³² (190.5 bits). No key is likelier than another by more
    than 2⁻⁶⁵ of its probability, so the folding reveals nothing. Raises ValueError for another
    number of bytes.
    """
    if len(random32) != RANDOM_BYTES:
        raise ValueError(f"{len(random32)} random bytes: expected {RANDOM_BYTES}")
    number = int.from_bytes(random32, "big")
    body = _PREFIXES[kind] + _base62(number, _RANDOM_LENGTH)
    return body + _checksum(body)


def is_client_secret(text: str) -> bool:
    """Return whether a text has the form of a client secret or an ephemeral token, valid or not."""
    return text.startswith((CLIENT_SECRET_PREFIX, AUTH_TOKEN_PREFIX))


def visible_ends(text: str) -> tuple[str, str]:
    """Return the first and the last characters of a key, which stay readable."""
    return text[:_SHOWN_FIRST], text[-_SHOWN_LAST:]


def check(text: str) -> KeyForm:
    """Classify a presented text before any look-up.

    OWN: our prefix and a correct checksum. OWN_BROKEN: our prefix without one; refuse it without a
    look-up. FOREIGN: 20 or more printable ASCII characters; look it up. IMPOSSIBLE: anything else,
    client secrets and ephemeral tokens.
    """
    if is_client_secret(text):
        return KeyForm.IMPOSSIBLE
    if text.startswith(OWN_PREFIX):
        whole = _OWN.fullmatch(text) is not None
        if whole and _checksum(text[:-_CHECKSUM_LENGTH]) == text[-_CHECKSUM_LENGTH:]:
            return KeyForm.OWN
        return KeyForm.OWN_BROKEN
    return KeyForm.FOREIGN if _FOREIGN.fullmatch(text) else KeyForm.IMPOSSIBLE


def digest(pepper: str, text: str) -> bytes:
    """Return the stored digest of a key: 32 bytes of HMAC-SHA-256 under the pepper.

    A key has 190 random bits, so a fast hash is enough (ASVS 6.5.2). The pepper is kept outside the
    database, so a stolen table cannot be used to test imported keys.
    """
    return hmac.digest(pepper.encode(), text.encode(), "sha256")


def digest_of_hash(pepper: str, sha256_digest: bytes) -> bytes:
    """Return the stored digest of a key of which only the SHA-256 is known, as for keys imported
    from a system that stores only that. The digested text begins with a space, which a presented
    key never does, so a person who knows the hash cannot use it as a key."""
    return hmac.digest(pepper.encode(), b" sha256 " + sha256_digest, "sha256")


def digests_of(pepper: str, text: str) -> Sequence[bytes]:
    """Return the digests under which a key may be stored, the likeliest first. Our own keys have
    one form, so they take one look-up."""
    if text.startswith(OWN_PREFIX):
        return (digest(pepper, text),)
    hashed = sha256(text.encode()).digest()
    return digest(pepper, text), digest_of_hash(pepper, hashed)


def end_user_secret(pepper: str, digest: bytes) -> str:
    """Return the secret with which an application signs the names of its end users. It belongs to
    one text of a key, by that text's digest, so that both change together, and is not stored."""
    code = hmac.digest(pepper.encode(), b"end users " + digest, "sha256")
    return urlsafe_b64encode(code).rstrip(b"=").decode()


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def _checksum(body: str) -> str:
    return _base62(crc32(body.encode("ascii")), _CHECKSUM_LENGTH)
