"""How large a hold must be: the most that a request can cost, before it is sent.

The bounds are quantities; `billing.prices.pricing.price_bound` makes them money.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from billing.prices.pricing import PriceVersion
from billing.subscriptions.included_units import Bound

OUTPUT_CAP_MIN = 16
BYTES_PER_ESTIMATED_TOKEN = 4

# What plain text may turn out to be on the upstream's bill.
_TEXT_IN = (
    "in_text",
    "in_cache_read",
    "in_cache_write_5m",
    "in_cache_write_30m",
    "in_cache_write_1h",
    "in_cache_write_12h",
)
_MEDIA_IN = ("in_audio", "in_audio_cached", "in_image", "in_image_cached")
_ANY_IN = _TEXT_IN + _MEDIA_IN
_TEXT_OUT = ("out_text", "out_reasoning")
_AUDIO_OUT = ("out_audio",)
_IMAGE_OUT = "out_image"
_SEARCHES = "searches"

# Members of a request, in any dialect, whose texts a model reads. No picture or sound is in them.
_READ: Final = frozenset(
    (
        "messages",
        "content",
        "contents",
        "parts",
        "text",
        "input",
        "prompt",
        "system",
        "instructions",
        "system_instruction",
        "systemInstruction",
        "arguments",
        "output",
    )
)
_READ_BYTES_MAX: Final = 1024 * 1024


def text_tokens_max(text_bytes: int) -> int:
    """The most tokens that a text can be: each is at least one byte of UTF-8."""
    return text_bytes


def media_tokens_max(parts: Mapping[str, int], bounds: Mapping[str, int]) -> int:
    """The most tokens of a request's parts, counted by their kind: a part is the provider's bound
    for its kind, 0 when the provider knows none."""
    return sum(count * bounds.get(kind, 0) for kind, count in parts.items())


def worst_quantities(
    version: PriceVersion,
    *,
    text_tokens: int,
    media_tokens: int,
    output_tokens: int,
    audio_output: bool = False,
    searches: int = 0,
) -> dict[str, int]:
    """The quantities of the dearest way in which a request could be billed.

    Every bound is put on the meter, of those that it may end on, that is the dearest in any tier.
    `output_tokens` counts all choices; where pictures have a rate, all of it may be pictures.
    `searches` are priced at the dearest of their sizes, where searches have a rate. `version` must
    have rates for in_text and out_text.
    """
    quantities: dict[str, int] = {}
    outputs = _outputs(version, audio_output=audio_output)
    for names, count in (
        (_TEXT_IN, text_tokens),
        (_ANY_IN, media_tokens),
        (outputs, output_tokens),
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
) -> list[Bound]:
    """The same bounds, each with all the meters that it may end on; and the request itself, where
    that has a rate."""
    groups = (
        (_TEXT_IN, text_tokens),
        (_ANY_IN, media_tokens),
        (_outputs(version, audio_output=audio_output), output_tokens),
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
    """The largest output cap, at most `cap_tokens_max`, whose price the balance affords.

    None when not even 16 tokens can be held, or `cap_tokens_max` itself where that is less.
    `price_of(cap)` is the most that a request costs under a cap; it may not fall when that grows.
    """
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


def estimate_tokens(utf8_bytes: int) -> int:
    """Tokens of a text whose count no upstream told (F25): four bytes each, rounded up.

    English text of common vocabularies has a little more than four bytes to a token, other scripts
    fewer characters but more bytes each; the row is marked estimated.
    """
    return -(-utf8_bytes // BYTES_PER_ESTIMATED_TOKEN)


def input_tokens_min(body: bytes) -> int:
    """A count of a request's input that no provider's is below: the words between white space of
    its texts, for no vocabulary has a token that spans two. 0 for what is too large to look at.
    """
    if len(body) > _READ_BYTES_MAX:
        return 0
    return _words(msgspec.json.decode(body))


def _words(value: Any) -> int:
    if isinstance(value, str):
        return len(value.split())
    if isinstance(value, list):
        return sum(map(_words, value))
    if isinstance(value, dict):
        return sum(_words(inner) for name, inner in value.items() if name in _READ)
    return 0
