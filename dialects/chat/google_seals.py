"""`thoughtSignature`: Gemini's own seals unchanged, foreign ones with a mark. The member has the
type bytes, so clients decode it as base64 and would fail at a mark in plain text. A foreign seal is
therefore base64 of `owner:[redacted]:[id]:value`; the plain form `owner:value` is accepted too.
Clients may re-encode base64 in its URL-safe alphabet.
"""

from base64 import b64decode, b64encode
from binascii import Error as BinasciiError
from typing import Final

from dialects.chat.events import Seal, SealOwner
from dialects.chat.turns import read_seal

# Google's documented value for calls of a history that its model did not make.
UNSEALED: Final = "skip_thought_signature_validator"

_FOREIGN: Final[tuple[SealOwner, ...]] = ("anthropic", "openai")
_STANDARD = str.maketrans("-_", "+/")


def read_signature(signature: str) -> Seal:
    """Return the seal in a `thoughtSignature`."""
    text = signature.translate(_STANDARD)
    for owner in _FOREIGN:
        if text.startswith(_encode(f"{owner}:")[:9]):
            try:
                seal = b64decode(text + "=" * (-len(text) % 4), validate=True).decode()
            except (BinasciiError, ValueError):
                break
            mark, redacted, id_, value = [*seal.split(":", 3), "", "", ""][:4]
            if mark == owner:
                return Seal(owner, value, redacted == "redacted", id_)
    return read_seal(signature, "gemini")


def write_signature(seal: Seal) -> str:
    """Return a seal as a `thoughtSignature`."""
    if seal.owner == "gemini":
        return seal.value
    redacted = "redacted" if seal.redacted else ""
    id_ = "" if ":" in seal.id else seal.id
    return _encode(f"{seal.owner}:{redacted}:{id_}:{seal.value}")


def _encode(text: str) -> str:
    return b64encode(text.encode()).decode()
