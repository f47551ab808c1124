"""Facts of models besides their prices, as a list of models states them.

The list is JSON in the form that LiteLLM publishes (billing/prices/price_list.py has its prices):

    {"gpt-4o": {"mode": "chat", "max_input_tokens": 128000, "supports_vision": true,
                "deprecation_date": "2027-01-14", …}}

Facts have the names of a model's entry: whole tokens, true or false, and for `sunset_at` a day
(YYYY-MM-DD). A field of the list without a meaning here is counted and reported, so that nobody
assumes that it was used.
"""

import datetime as dt
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple, get_args

from gateway.model_entries.rules import TOKENS_MAX

Fact = int | bool | str
Field = Literal[
    "context_max", "output_max", "sunset_at",
    "tools", "schema", "vision", "audio", "files", "reasoning",
]  # fmt: skip
FIELDS: Final[tuple[Field, ...]] = get_args(Field)
LIST_BYTES_MAX: Final = 16 << 20
"""The maximum size of a list."""
PRICE: Final = "price"
"""The name of a model's prices in an ignore rule."""

_LIMITS: Final[Mapping[str, Field]] = {
    "max_input_tokens": "context_max",
    "max_output_tokens": "output_max",
}
_CAPABILITIES: Final[Mapping[str, Field]] = {
    "supports_function_calling": "tools",
    "supports_response_schema": "schema",
    "supports_vision": "vision",
    "supports_audio_input": "audio",
    "supports_pdf_input": "files",
    "supports_reasoning": "reasoning",
}
_DATE: Final = "deprecation_date"
# Known fields that are not used: `max_tokens` repeats one of the two limits.
_READ: Final = frozenset(
    {*_LIMITS, *_CAPABILITIES, _DATE, "mode", "max_tokens", "litellm_provider"}
)
# Prices report the fields that they omit themselves.
_PRICE: Final = re.compile(r"cost")
_NAME_MAX: Final = 60


class FactsRead(NamedTuple):
    """The facts by model, and the number of models with an unused field."""

    facts: dict[str, dict[Field, Fact]]
    unknown: dict[str, int]


def read_facts(text: str | bytes) -> FactsRead:
    """Parse the facts of a list that `read_price_list` accepted."""
    document = json.loads(text, parse_float=Decimal)
    result = FactsRead({}, {})
    for name, entry in document.items():
        if not isinstance(entry, dict) or "mode" not in entry:
            continue
        facts = {field: fact for key in entry for field, fact in _fact(key, entry[key])}
        if facts:
            result.facts[name] = facts
        for key in entry.keys() - _READ:
            if not _PRICE.search(key):
                key = key[:_NAME_MAX]
                result.unknown[key] = result.unknown.get(key, 0) + 1
    return result


def _fact(key: str, value: Any) -> list[tuple[Field, Fact]]:
    """Return the fact of a field in a list; [] if there is none."""
    if key in _CAPABILITIES and isinstance(value, bool):
        return [(_CAPABILITIES[key], value)]
    if key in _LIMITS and (tokens := _tokens(value)) is not None:
        return [(_LIMITS[key], tokens)]
    if key == _DATE and (day := day_of(value)) is not None:
        return [("sunset_at", day.isoformat())]
    return []


def _tokens(value: Any) -> int | None:
    """Parse a limit of tokens, or return None. Lists write limits as numbers, as texts, and with a
    decimal point."""
    try:
        tokens = Decimal(str(value))
    except ArithmeticError:
        return None
    if not tokens.is_finite() or tokens != tokens.to_integral_value():
        return None
    return int(tokens) if 1 <= tokens <= TOKENS_MAX else None


def day_of(value: object) -> dt.date | None:
    """Parse a date. Return None if the text is not a date."""
    try:
        return dt.date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
