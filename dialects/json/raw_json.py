"""JSON of other parties: raw members, and conversions of values of any type."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from dialects.errors.errors import DialectError
from dialects.json.not_json import NOT_JSON

# msgspec has no union of raw and null: an absent member is empty, and `value_bytes` handles null.
ABSENT: Final = msgspec.Raw()


class ReadFault(DialectError):
    """The text is not a JSON object (F15)."""


_T = TypeVar("_T")
_top = msgspec.json.Decoder(dict[str, msgspec.Raw])


def parser(kind: type[_T], read_loosely: Callable[[bytes], _T]) -> Callable[[bytes], _T]:
    """Return a parser of the members of `kind`; a text with other types is passed to
    `read_loosely`. Both raise ReadFault if it is not a JSON object.
    """
    decode = msgspec.json.Decoder(kind).decode

    def parse(data: bytes) -> _T:
        try:
            return decode(data)
        except msgspec.ValidationError:
            return read_loosely(data)
        except NOT_JSON:
            raise ReadFault from None

    return parse


def top_members(data: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """Return the raw members of a JSON object. Raises ReadFault."""
    try:
        return _top.decode(data)
    except NOT_JSON:
        raise ReadFault from None


def value_bytes(raw: msgspec.Raw) -> bytes | None:
    """Return the bytes of a raw member, None if it is absent or null."""
    value = bytes(raw)
    return None if value in (b"", b"null") else value


def value_of(raw: msgspec.Raw | bytes | None) -> Any:
    """Return a raw member decoded; None if it is absent or cannot be decoded."""
    try:
        return None if raw is None else msgspec.json.decode(raw)
    except NOT_JSON:
        return None


def members_of(raw: msgspec.Raw | bytes | None) -> dict[str, Any]:
    """Return a raw member as an object; {} for anything else."""
    value = value_of(raw)
    return value if isinstance(value, dict) else {}


def dicts(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def object_of(value: Any) -> dict[str, Any]:
    """Return an object, {} for anything else."""
    return value if isinstance(value, dict) else {}


def as_text(value: Any) -> str:
    """Return a text, "" for anything else."""
    return value if isinstance(value, str) else ""


def number(value: Any) -> float:
    """Return a number, 0 for anything else."""
    return value if isinstance(value, int | float) else 0.0


def byte_values(value: Any) -> tuple[int, ...] | None:
    """Return the bytes of a list, None for anything else."""
    if not isinstance(value, list):
        return None
    return tuple(item for item in value if isinstance(item, int) and 0 <= item <= 255)


def size(text: str) -> int:
    """Return the length of a text in bytes of UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def starts(raw: msgspec.Raw, letter: bytes) -> bool:
    """Return whether a raw member begins with this character, which tells a text, an object and a
    list apart."""
    return bytes(memoryview(raw)[:1]) == letter


def is_present(raw: msgspec.Raw) -> bool:
    """Return whether a raw member is present. A null counts as present."""
    return bytes(memoryview(raw)[:5]) != b"null"
