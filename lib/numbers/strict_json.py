"""Parse JSON strictly: no duplicate name in an object, at any depth, and no NaN."""

import json
from typing import Any


def strict_json(text: str | bytes) -> Any:
    """Return the value of a JSON text. Raises ValueError."""
    try:
        return json.loads(
            text, object_pairs_hook=_reject_duplicates, parse_constant=_reject_constant
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("a key appears twice")
    return read


def _reject_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
