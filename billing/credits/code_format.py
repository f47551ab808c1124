"""The text of a redemption code: seven groups of four letters, 140 random bits.

The alphabet is Crockford's base 32. The reader accepts small letters, other hyphens or spaces, O
for 0, and I or L for 1. A code that was imported from another hub has 32 hexadecimal digits.
"""

import hmac
from typing import Final

RANDOM_BYTES: Final = 28
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_HEXADECIMAL: Final = "0123456789ABCDEF"
_HEXADECIMAL_LENGTH: Final = 32
_GROUP: Final = 4
_READ: Final = str.maketrans("OIL", "011", "- \t\r\n\N{EN DASH}\N{EM DASH}\N{HYPHEN}")


def compose(random: bytes) -> str:
    """Return the code of 28 random bytes. Each byte gives five bits. Raises ValueError for another
    number of bytes."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"expected {RANDOM_BYTES} random bytes")
    letters = "".join(_ALPHABET[octet & 31] for octet in random)
    return "-".join(letters[at : at + _GROUP] for at in range(0, len(letters), _GROUP))


def read(text: str) -> str | None:
    """Return the letters of a code that a person typed, or None if the text cannot be a code."""
    letters = text[:200].upper().translate(_READ)
    if len(letters) == _HEXADECIMAL_LENGTH and set(letters) <= set(_HEXADECIMAL):
        return letters
    if len(letters) != RANDOM_BYTES or not set(letters) <= set(_ALPHABET):
        return None
    return letters


def digest(pepper: str, letters: str) -> bytes:
    """Return the stored digest of a code: HMAC-SHA-256 of its letters under the installation's
    pepper."""
    return hmac.digest(pepper.encode(), b"billing_code|" + letters.encode(), "sha256")
