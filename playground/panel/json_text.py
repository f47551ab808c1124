"""Strict parsing of JSON that people write, with the place of an error."""

import json
import re
from typing import Any, Final

DEPTH_MAX = 64
_HALF: Final = re.compile(r"\\u[dD][89a-fA-F]")
"""An escaped surrogate, which may lack its other half."""


class InvalidJson(ValueError):
    """The text is not valid JSON. `line` and `column` count from 1."""

    def __init__(self, line: int, column: int, reason: str) -> None:
        super().__init__(f"line {line}, column {column}: {reason}")
        self.line = line
        self.column = column
        self.reason = reason


def parse_json(text: str) -> Any:
    """Return the value of a text. Raises InvalidJson, also for a duplicate name, NaN, or nesting
    beyond 64."""
    try:
        value = json.loads(
            text, object_pairs_hook=_reject_duplicates, parse_constant=_reject_constant
        )
    except json.JSONDecodeError as error:
        raise InvalidJson(error.lineno, error.colno, error.msg) from error
    except (ValueError, RecursionError) as error:
        raise InvalidJson(1, 1, str(error)[:200]) from error
    if "\\u0000" in text:
        # Postgres cannot store this character, and providers refuse it.
        raise InvalidJson(1, 1, "\\u0000 cannot be kept")
    if _HALF.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise InvalidJson(1, 1, "half a surrogate pair cannot be kept") from error
    _measure(value, DEPTH_MAX)
    return value


def _reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{double!r} is there twice")
    return members


def _reject_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _measure(value: Any, levels_left: int) -> None:
    if levels_left == 0:
        raise InvalidJson(1, 1, f"nested deeper than {DEPTH_MAX}")
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _measure(inner, levels_left - 1)
