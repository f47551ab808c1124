"""The lifetime of tokens that a request writes to OpenAI's cache. Usage without a lifetime is
booked by the request's `prompt_cache_options.ttl`.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from dialects.json.body import Body
from dialects.json.raw_json import members_of
from dialects.usage.usage import Quantities

_NAME: Final = "prompt_cache_options"
UNREPORTED: Final = "in_cache_write_5m"
"""The meter that cache writes of an unreported lifetime are first counted on."""
_METERS: Final[Mapping[str, str]] = {
    "5m": "in_cache_write_5m",
    "30m": "in_cache_write_30m",
    "1h": "in_cache_write_1h",
    "12h": "in_cache_write_12h",
}
_WORD_MAX: Final = 40


def with_lifetime(quantities: Quantities, body: Body) -> Quantities:
    """Move the cache writes on UNREPORTED to the meter of the requested lifetime. An unclassified
    lifetime puts the usage under review (P28)."""
    if _NAME not in body.members:
        return quantities
    ttl = members_of(body.value(_NAME)).get("ttl")
    if ttl is None:
        return quantities
    meter = _METERS.get(ttl) if isinstance(ttl, str) else None
    if meter is None:
        unknown = f"{_NAME}.ttl={str(ttl)[:_WORD_MAX]}"
        return msgspec.structs.replace(quantities, unknown=(*quantities.unknown, unknown))
    meters = dict(quantities.meters)
    written = meters.pop(UNREPORTED)
    meters[meter] = meters.get(meter, 0) + written
    return msgspec.structs.replace(quantities, meters=meters)
