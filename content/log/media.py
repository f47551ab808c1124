"""Media inside bodies: recognised by where they are, and replaced by a reference.

A reference is valid base64 of its own, so that a body that contains it still has the form of its
dialect: `weir/<bytes>/bytes/sha256/<hash>/`.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as BinasciiError
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec

_KINDS: Final = ("media_type", "mime_type", "mimeType")
_BINARY: Final = frozenset(
    {"bytes", "b64_json", "partial_image_b64", "file_data", "image_base64", "audio_base64"}
)
# What a provider signs or encrypts, and reads again.
_SEALS: Final = frozenset(
    {"signature", "thoughtSignature", "thought_signature", "encrypted_content", "redactedContent"}
)
# A text without any space that is at least so long, and base64, is data.
_DATA_MIN: Final = 1024
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_OCTETS: Final = "application/octet-stream"
_REFERENCE: Final = re.compile(r"weir/([0-9]+)/bytes/sha256/([0-9a-f]{64})/*")


class Media(NamedTuple):
    """`head` is what precedes the data: the beginning of a data URL."""

    head: str
    media_type: str
    data: str

    def reference(self) -> str:
        """Return what is stored in place of the data."""
        if _REFERENCE.fullmatch(self.data):
            return self.head + self.data
        try:
            content = b64decode(self.data, altchars=b"-_" if _is_url_safe(self.data) else None)
        except (BinasciiError, ValueError):
            content = self.data.encode(errors="surrogatepass")
        return self.head + reference_of(len(content), sha256(content).hexdigest())

    def with_text(self, text: str) -> str:
        """Return the media with another text as its data."""
        return self.head + b64encode(text.encode(errors="surrogatepass")).decode()


def reference_of(size: int, digest: str) -> str:
    """Return what is stored in place of data of this size in bytes, with this SHA-256."""
    text = f"weir/{size}/bytes/sha256/{digest}/"
    return text + "/" * (-len(text) % 4)


def is_text_type(content_type: str) -> bool:
    """Return whether a body of this type may be text."""
    plain = content_type.partition(";")[0].strip().lower()
    return plain != _OCTETS and plain.partition("/")[0] in ("", "text", "application")


def is_digest(text: str) -> bool:
    """Return whether a text is a SHA-256."""
    return bool(_DIGEST.fullmatch(text))


def describe_binary(content_type: str, size: int, digest: str) -> bytes:
    """Return what is stored in place of a body that is no text."""
    return msgspec.json.encode({"type": content_type, "bytes": size, "sha256": digest})


def _is_url_safe(data: str) -> bool:
    return "-" in data or "_" in data


def media_of(name: str, text: str, around: Mapping[str, Any]) -> Media | None:
    """Return the media that a member `name` of `around` contains. None for a text."""
    if text[:5].lower() == "data:" and ";base64," in text[:200]:
        head, _, data = text.partition(",")
        return Media(f"{head},", head[5:].partition(";")[0], data)
    if name in _BINARY or (name == "data" and _is_file(around)):
        kind = next((around[one] for one in _KINDS if isinstance(around.get(one), str)), "")
        return Media("", kind, text)
    if len(text) >= _DATA_MIN and name not in _SEALS and _is_data(text):
        return Media("", "", text)
    return None


def _is_data(text: str) -> bool:
    """Return whether a long text is base64. A repeated letter is none."""
    return bool(_BASE64.fullmatch(text)) and not (text.islower() or text.isupper())


def _is_file(around: Mapping[str, Any]) -> bool:
    if around.get("type") == "text":
        return False
    return around.get("type") == "base64" or any(one in around for one in ("format", *_KINDS))


def text_of_media(media: Media) -> str | None:
    """Return the text that a file contains; None for one that is no text."""
    if not media.media_type.startswith(("text/", "application/json")):
        return None
    try:
        return b64decode(media.data, validate=True).decode()
    except (BinasciiError, ValueError):
        return None


def read_reference(data: str) -> tuple[int, str]:
    """Return the size in bytes and the SHA-256 that a reference names; 0 and "" if it is none."""
    match = _REFERENCE.fullmatch(data)
    return (int(match[1]), match[2]) if match else (0, "")
