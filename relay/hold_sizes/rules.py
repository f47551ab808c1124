"""How large a hold must be: the maximum cost of a request before it is sent. The bounds are
quantities; `billing.prices.pricing.price_bound` converts them to money.
"""

from collections.abc import Callable, Mapping
from typing import Final

from billing.prices.meters import Bound
from billing.prices.pricing import PriceVersion

OUTPUT_CAP_MIN = 16
THINKING_TOKENS: Final = 32_000
"""Assumed thinking tokens, beside the output cap, if a reasoning model's limit is unknown."""
UNSEEN_TOKENS: Final = 200_000
"""Assumed tokens of input that is stored elsewhere, if the model's context size is unknown."""
UNCAPPED_TIMES: Final = 4
"""How many times the assumed length an answer may reach if its provider was sent no cap."""

# The meters that plain text may appear under on the upstream's bill.
_TEXT_IN = (
    "in_text",
    "in_cache_read",
    "in_cache_write_5m",
    "in_cache_write_30m",
    "in_cache_write_1h",
    "in_cache_write_12h",
)
# The meters of input that the model has read before.
_READ_AGAIN = ("in_text", "in_cache_read")
_MEDIA_IN = ("in_audio", "in_audio_cached", "in_image", "in_image_cached")
_ANY_IN = _TEXT_IN + _MEDIA_IN
_TEXT_OUT = ("out_text", "out_reasoning")
_AUDIO_OUT = ("out_audio",)
_IMAGE_OUT = "out_image"
_SEARCHES = "searches"


def text_tokens_max(text_bytes: int) -> int:
    """Return the maximum number of tokens of a text: each has at least one byte of UTF-8."""
    return text_bytes


def media_tokens_max(parts: Mapping[str, int], bounds: Mapping[str, int]) -> int:
    """Return the maximum tokens of a request's parts, given their number by kind. Each counts as
    the provider's bound for its kind, 0 if the provider does not accept the kind."""
    return sum(count * bounds.get(kind, 0) for kind, count in parts.items())


def worst_quantities(
    version: PriceVersion,
    *,
    text_tokens: int,
    media_tokens: int,
    output_tokens: int,
    audio_output: bool = False,
    searches: int = 0,
    again_tokens: int = 0,
) -> dict[str, int]:
    """Return the quantities of the most expensive way to bill a request. Every bound is assigned to
    the most expensive meter, in any tier, of those that it may be billed by. `output_tokens` counts
    all choices, and may all be pictures if pictures have a rate. `again_tokens` of input were read
    before in the same request (`tool_loop.py`). `searches` are priced at their
    most expensive size, if searches have a rate. `version` must have rates for in_text and
    out_text.
    """
    quantities: dict[str, int] = {}
    outputs = _outputs(version, audio_output=audio_output)
    for names, count in (
        (_TEXT_IN, text_tokens),
        (_ANY_IN, media_tokens),
        (outputs, output_tokens),
        (_ANY_IN if media_tokens else _READ_AGAIN, again_tokens),
    ):
        if count:
            meter = version.dearest_of(names)
            quantities[meter] = quantities.get(meter, 0) + count
    if searches:
        sizes = _sizes(version)
        if sizes:
            quantities[version.dearest_of(sizes)] = searches
    return quantities


def bounds(
    version: PriceVersion,
    *,
    text_tokens: int,
    media_tokens: int,
    output_tokens: int,
    audio_output: bool = False,
    searches: int = 0,
    again_tokens: int = 0,
) -> list[Bound]:
    """Return the bounds of `worst_quantities`, each with all the meters that it may be billed by,
    and the request itself if that has a rate."""
    groups = (
        (_TEXT_IN, text_tokens),
        (_ANY_IN, media_tokens),
        (_outputs(version, audio_output=audio_output), output_tokens),
        (_ANY_IN if media_tokens else _READ_AGAIN, again_tokens),
        (_sizes(version), searches),
        (("requests",) if "requests" in version.rates else (), 1),
    )
    return [Bound(names, count) for names, count in groups if names and count]


def _outputs(version: PriceVersion, *, audio_output: bool) -> tuple[str, ...]:
    outputs = _TEXT_OUT + (_AUDIO_OUT if audio_output else ())
    return (*outputs, _IMAGE_OUT) if _IMAGE_OUT in version.rates else outputs


def _sizes(version: PriceVersion) -> tuple[str, ...]:
    return tuple(name for name in version.rates if name.startswith(_SEARCHES))


def shrink_cap(
    available_nano: int,
    cap_tokens_max: int,
    price_of: Callable[[int], int],
) -> int | None:
    """Return the largest output cap, at most `cap_tokens_max`, whose price the balance covers. None
    if the balance does not cover 16 tokens, or `cap_tokens_max` if that is less. `price_of(cap)` is
    the maximum cost of the request under a cap; it must not decrease with the cap."""
    low, high = min(OUTPUT_CAP_MIN, cap_tokens_max), cap_tokens_max
    if price_of(low) > available_nano:
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if price_of(middle) <= available_nano:
            low = middle
        else:
            high = middle - 1
    return low
