"""The meters of a record, and the language-model tokens among them."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from billing.prices.meters import METERS, Meter

TOKEN_METERS: Final = [meter.name for meter in METERS.values() if meter.unit == "token"]


def _token_column(meter: Meter) -> str:
    if meter.side == "in":
        cached = meter.name == "in_cache_read" or meter.name.endswith("_cached")
        return "cached" if cached else "sent"
    return "reasoning" if meter.name == "out_reasoning" else "out"


TOKEN_COLUMNS: Final = {name: _token_column(METERS[name]) for name in TOKEN_METERS}
_CACHE_WRITES: Final = frozenset(name for name in TOKEN_METERS if name.startswith("in_cache_write"))
_ORDER: Final = {name: place for place, name in enumerate(METERS)}


class Tokens(NamedTuple):
    """Language-model tokens in four columns that add up to all tokens. `read` is all input,
    `written` all output."""

    sent: int
    cached: int
    out: int
    reasoning: int

    @property
    def read(self) -> int:
        return self.sent + self.cached

    @property
    def written(self) -> int:
        return self.out + self.reasoning


def tokens_of(meters: Mapping[str, int]) -> Tokens:
    """Return the tokens among the meters."""
    columns = dict.fromkeys(Tokens._fields, 0)
    for name, units in meters.items():
        if name in TOKEN_COLUMNS:
            columns[TOKEN_COLUMNS[name]] += units
    return Tokens(**columns)


def cache_writes_of(meters: Mapping[str, int]) -> int:
    """Return the tokens of input that were written to a provider's cache, which are part of
    `sent`."""
    return sum(units for name, units in meters.items() if name in _CACHE_WRITES)


def ordered_meters(stored: object) -> dict[str, int]:
    """Return stored meters in the order of the table of meters."""
    meters: dict[str, int] = read_json(stored)
    return dict(
        sorted(meters.items(), key=lambda item: (_ORDER.get(item[0].split("[")[0], 99), item[0]))
    )


def read_json(stored: Any) -> Any:
    """Return a JSON value of the database, which may come as text."""
    return msgspec.json.decode(stored) if isinstance(stored, str) else stored
