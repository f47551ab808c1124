"""Variables of a system prompt: ``{{name}}`` is replaced by its value."""

import re
from collections.abc import Mapping
from typing import Final

FILLED_MAX: Final = 1_000_000
"""The maximum number of characters of a text whose variables are filled in."""
_VARIABLE: Final = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]{0,39})\s*\}\}")


def names_in(text: str) -> tuple[str, ...]:
    """Return the variables of a text, without duplicates, in their order."""
    return tuple(dict.fromkeys(_VARIABLE.findall(text)))


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return the text with its variables replaced once: braces in a value are kept as they are."""
    return _VARIABLE.sub(lambda match: values.get(match[1], ""), text)


def missing(text: str, values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables without a value."""
    return tuple(name for name in names_in(text) if not values.get(name, "").strip())


def is_too_long(text: str, values: Mapping[str, str]) -> bool:
    """Return whether the text would be too long with its variables filled in: a long value may
    replace thousands of short variables."""
    matches = _VARIABLE.finditer(text)
    added = sum(len(values.get(match[1], "")) - len(match[0]) for match in matches)
    return len(text) + added > FILLED_MAX
