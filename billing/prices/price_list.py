"""A list of model prices as JSON, in the format that LiteLLM publishes: model -> prices.

    {"gpt-4o": {"mode": "chat", "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05, …}}

Costs are USD per token. Nothing is guessed: a model with a price that depends on something unknown
to us (long prompts, pictures, seconds) is left out, with the reason. Prices of other services
(batches, flex, priority) are ignored.

Prices by region are of two kinds. `regional_endpoint_uplift_multiplier` multiplies the price of
Vertex AI wherever it is not served by the global endpoint. `bedrock/us-gov-west-1/NAME` is the
price of NAME in that region, if the list has a price of NAME.
"""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from billing.currency.money import INT64_MAX

_NANO_PER_MILLION: Final = Decimal(10**9 * 10**6)
_METERS: Final[Mapping[str, tuple[str, ...]]] = {
    "input_cost_per_token": ("in_text",),
    "output_cost_per_token": ("out_text",),
    "cache_read_input_token_cost": ("in_cache_read",),
    "cache_creation_input_token_cost": ("in_cache_write_5m", "in_cache_write_1h"),
    "cache_creation_input_token_cost_above_1hr": ("in_cache_write_1h",),
    "output_cost_per_reasoning_token": ("out_reasoning",),
    "input_cost_per_audio_token": ("in_audio",),
    "output_cost_per_audio_token": ("out_audio",),
}
_MODES: Final = frozenset({"chat", "completion", "responses", "embedding"})
_COST: Final = re.compile(r"cost_per_|_cost(?:_|$)")
# Prices of services that a request must ask for, or that we do not offer.
_OTHER_SERVICE: Final = re.compile(
    r"_(?:batches|batch_requests|flex|priority)(?:$|_)|^(?:search_context|file_search|code_interp"
    r"|vector_store|computer_use|citation)"
)
_NAME: Final = re.compile(r"[^\s*]{1,200}")
_UPLIFT: Final = "regional_endpoint_uplift_multiplier"
# Every region but `global` (gateway/providers/cloud_places.py).
_REGIONAL: Final = "regional"
_IN_REGION: Final = re.compile(r"bedrock/([a-z]{2,4}(?:-[a-z]+)+-[0-9]+)/([^/]+)")


class ListInvalid(ValueError):
    """The text is not a price list; the message says what is wrong."""


class PriceListRead(NamedTuple):
    """The rates by model, in the stored form of pricing.py; the reasons for skipped models; and the
    rates by model and region."""

    rates: dict[str, dict[str, Any]]
    skipped: dict[str, str]
    regions: dict[tuple[str, str], dict[str, Any]]


class _Left(Exception):
    pass


def read_price_list(text: str | bytes) -> PriceListRead:
    """Return the prices of a list. Raises ListInvalid."""
    try:
        document = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise ListInvalid(f"It is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise ListInvalid("It is no JSON object of models.")
    result = PriceListRead({}, {}, {})
    for name, entry in document.items():
        if not isinstance(entry, dict) or entry.get("mode") not in _MODES:
            continue
        try:
            meters = _read_meters(name, entry)
            uplifted = _uplifted(meters, entry)
        except _Left as left:
            result.skipped[name] = str(left)
            continue
        placed = _IN_REGION.fullmatch(name)
        if placed is not None and placed[2] in document:
            result.regions[placed[2], placed[1]] = {"meters": meters, "tiers": []}
            continue
        result.rates[name] = {"meters": meters, "tiers": []}
        if uplifted is not None:
            result.regions[name, _REGIONAL] = {"meters": uplifted, "tiers": []}
    for model, region in list(result.regions):
        if model not in result.rates:
            why = result.skipped.get(model, "no price of a token")
            result.skipped[f"bedrock/{region}/{model}"] = f"{model} is left out: {why}"
            del result.regions[model, region]
    if not result.rates and not result.skipped:
        raise ListInvalid("It names no model with a mode of chat, completion or embedding.")
    return result


def _read_meters(name: str, entry: Mapping[str, Any]) -> dict[str, int]:
    if not _NAME.fullmatch(name):
        raise _Left("not a name that a model can have")
    meters: dict[str, int] = {}
    for key, value in entry.items():
        if not _COST.search(key) or _OTHER_SERVICE.search(key) or value in (None, 0):
            continue
        if key not in _METERS:
            raise _Left(f"{key[:60]} has no counterpart")
        meters |= dict.fromkeys(_METERS[key], _nano(key, value))
    if "input_cost_per_token" not in entry:
        raise _Left("no price of a token")
    return {"in_text": 0, **meters}


def _uplifted(meters: Mapping[str, int], entry: Mapping[str, Any]) -> dict[str, int] | None:
    """Return the rates outside the global endpoint; None if they equal the global rates."""
    times = entry.get(_UPLIFT)
    if times in (None, 1):
        return None
    if isinstance(times, bool) or not isinstance(times, int | Decimal) or not 0 < times <= 100:
        raise _Left(f"{_UPLIFT} is no multiplier")
    uplifted = {meter: rate * Decimal(times) for meter, rate in meters.items()}
    if any(rate != rate.to_integral_value() or rate > INT64_MAX for rate in uplifted.values()):
        raise _Left(f"{_UPLIFT} is not exact to a nano per million tokens")
    return {meter: int(rate) for meter, rate in uplifted.items()}


def _nano(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise _Left(f"{key} is no number")
    nano = Decimal(value) * _NANO_PER_MILLION
    if not nano.is_finite() or nano < 0 or nano > INT64_MAX or nano != nano.to_integral_value():
        raise _Left(f"{key} is not exact to a nano per million tokens")
    return int(nano)
