"""Members of an answer that are kept as the JSON that they came as."""

from typing import Any, Final

import msgspec

# msgspec has no union of raw and null: what is absent is empty, and null is looked at by `given`.
ABSENT: Final = msgspec.Raw()


class ReadFault(Exception):
    """The text is no JSON object (F15)."""


def given(raw: msgspec.Raw) -> bytes | None:
    """The bytes of a raw member, None when it is absent or null."""
    value = bytes(raw)
    return None if value in (b"", b"null") else value


def value_of(raw: msgspec.Raw | bytes | None) -> Any:
    """A raw member decoded; None when it is absent, or holds numbers out of every range."""
    try:
        return None if raw is None else msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None


def members_of(raw: msgspec.Raw | bytes | None) -> dict[str, Any]:
    """A raw member as an object; {} for all else."""
    value = value_of(raw)
    return value if isinstance(value, dict) else {}


def dicts(value: Any) -> list[dict[str, Any]]:
    """The objects of a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
