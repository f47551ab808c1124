"""The meters: what can be counted and priced, as one table.

Meters are disjoint: each token of a request counts on exactly one meter. A meter may have variants
in brackets, `images[1024,standard]` or `video_ms[720p]`. Each variant has its own rate and uses the
row of its plain name here.

Outside, a rate is a decimal string of USD per million units (tokens, characters, milliseconds) or
per one unit (requests, images, pages, searches, sessions, minutes). Inside, every rate is an
integer of nano-USD per million units, so that pricing has one arithmetic. Minutes are counted in
billionths, so that a price per minute is exact for any duration that providers report.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from billing.currency.money import MoneyInvalid, format_scaled, parse_scaled

Unit = Literal[
    "token", "ms", "minute", "character", "request", "image", "page", "search", "session", "value"
]
Side = Literal["in", "out", "other"]
Scale = Literal["per_million", "per_one", "per_billion"]


class Meter(NamedTuple):
    """One billable dimension. `fallback` names the meter whose rate is used if it has none."""

    name: str
    unit: Unit
    side: Side
    scale: Scale
    fallback: str | None = None


# The order of the input tokens in a prompt: first those read from a cache, then those written to
# one, then the rest. Marginal tiers count in this order.
METERS: Final[dict[str, Meter]] = {
    meter.name: meter
    for meter in (
        Meter("in_cache_read", "token", "in", "per_million", fallback="in_text"),
        Meter("in_audio_cached", "token", "in", "per_million"),
        Meter("in_image_cached", "token", "in", "per_million"),
        # The longest lifetime has no fallback to another lifetime's rate; a price must name it
        # (I14).
        Meter("in_cache_write_12h", "token", "in", "per_million"),
        Meter("in_cache_write_1h", "token", "in", "per_million", fallback="in_text"),
        Meter("in_cache_write_5m", "token", "in", "per_million", fallback="in_text"),
        Meter("in_cache_write_30m", "token", "in", "per_million", fallback="in_cache_write_5m"),
        Meter("in_text", "token", "in", "per_million"),
        Meter("in_audio", "token", "in", "per_million"),
        Meter("in_image", "token", "in", "per_million"),
        Meter("in_video_ms", "ms", "in", "per_million"),
        Meter("out_text", "token", "out", "per_million"),
        Meter("out_reasoning", "token", "out", "per_million", fallback="out_text"),
        Meter("out_audio", "token", "out", "per_million"),
        Meter("out_image", "token", "out", "per_million"),
        Meter("images", "image", "out", "per_one"),
        Meter("video_ms", "ms", "out", "per_million"),
        Meter("audio_ms", "ms", "in", "per_million"),
        # The time for which a live session is open.
        Meter("session_minutes", "minute", "other", "per_billion"),
        Meter("characters", "character", "in", "per_million"),
        Meter("pages", "page", "in", "per_one"),
        Meter("searches", "search", "other", "per_one"),
        Meter("file_searches", "search", "other", "per_one"),
        Meter("code_sessions", "session", "other", "per_one"),
        # The value that a pass-through rule reads from an answer, in millionths.
        Meter("answer_micros", "value", "other", "per_million"),
        Meter("requests", "request", "other", "per_one"),
    )
}

# A tier's threshold is compared with the sum of these: all input that is counted in tokens.
INPUT_TOKEN_METERS: Final[tuple[str, ...]] = tuple(
    meter.name for meter in METERS.values() if meter.side == "in" and meter.unit == "token"
)
TOKEN_METERS: Final = frozenset(meter.name for meter in METERS.values() if meter.unit == "token")
"""The meters that count language-model tokens, in and out."""
FALLBACKS: Final[dict[str, str]] = {
    meter.name: meter.fallback for meter in METERS.values() if meter.fallback is not None
}
PLAIN_OF: Final[dict[str, str]] = {
    "in_cache_read": "in_text",
    "in_audio_cached": "in_audio",
    "in_image_cached": "in_image",
}
"""The meter of the same input without a cache, for each meter of cached input."""

_WITH_VARIANTS: Final = frozenset({"images", "video_ms", "searches", "session_minutes"})
_VARIANT: Final = re.compile(r"([a-z0-9_]+)\[[0-9A-Za-z_.:,-]{1,60}\]")
_SCALE_DIGITS: Final[dict[Scale, int]] = {"per_million": 9, "per_one": 15, "per_billion": 6}


# USD in nano, per million of milliseconds.
_WRITTEN_DIGITS: Final = 15


class RateInexact(ValueError):
    """No rate per million milliseconds is exactly that price. `nearest` is the nearest one, as
    written."""

    def __init__(self, nearest: str) -> None:
        super().__init__(nearest)
        self.nearest = nearest


class MeterUnknown(ValueError):
    """The name is not a meter."""

    def __init__(self, name: object) -> None:
        super().__init__(f"{name!r} is not a meter: expected one of {', '.join(sorted(METERS))}")
        self.name = name


def find_meter(name: str) -> Meter:
    """Return the row of a meter. A variant (`video_ms[720p]`) has the row of its plain name. Raises
    MeterUnknown."""
    meter = METERS.get(name)
    if meter is not None:
        return meter
    match = _VARIANT.fullmatch(name)
    if match is None or match.group(1) not in _WITH_VARIANTS:
        raise MeterUnknown(name)
    return METERS[match.group(1)]


def parse_rate(meter_name: str, text: str) -> int:
    """Return a rate that a person wrote (USD per million units, or per one) as nano per million.

    `parse_rate("in_text", "0.15")` is 150_000_000; `parse_rate("requests", "0.04")` is 4 × 10¹³.
    Raises MeterUnknown, and MoneyInvalid for a rate that is negative or not exact in that unit.
    """
    rate = parse_scaled(text, scale_digits(meter_name))
    if rate < 0:
        raise MoneyInvalid(text, "a rate that is not negative")
    return rate


def written_ms(meter_name: str) -> int | None:
    """Return the milliseconds that a price of time is written for on pages: a minute of audio, a
    second of video. None for a meter of anything else. Raises MeterUnknown."""
    if find_meter(meter_name).unit != "ms":
        return None
    return 60_000 if meter_name == "audio_ms" else 1_000


def parse_written_rate(meter_name: str, text: str) -> int:
    """Return a rate as pages write it as nano per million: as `parse_rate`, but for time per minute
    or second. Raises MeterUnknown, MoneyInvalid, and RateInexact where no whole number of nano per
    million milliseconds is that price."""
    length_ms = written_ms(meter_name)
    if length_ms is None:
        return parse_rate(meter_name, text)
    scaled = parse_scaled(text, _WRITTEN_DIGITS)
    if scaled < 0:
        raise MoneyInvalid(text, "a rate that is not negative")
    rate, rest = divmod(scaled, length_ms)
    if rest:
        nearest = rate + (2 * rest >= length_ms)
        raise RateInexact(format_written_rate(meter_name, nearest))
    return rate


def format_written_rate(meter_name: str, rate_nano_per_million: int) -> str:
    """Return a rate as pages write it; the inverse of `parse_written_rate`. Raises MeterUnknown."""
    length_ms = written_ms(meter_name)
    if length_ms is None:
        return format_rate(meter_name, rate_nano_per_million)
    return format_scaled(rate_nano_per_million * length_ms, _WRITTEN_DIGITS)


def format_rate(meter_name: str, rate_nano_per_million: int) -> str:
    """Return a rate as exact text without trailing zeros; the inverse of `parse_rate`. Raises
    MeterUnknown."""
    return format_scaled(rate_nano_per_million, scale_digits(meter_name))


def scale_digits(meter_name: str) -> int:
    """Return the decimals that a written rate may have. Raises MeterUnknown."""
    return _SCALE_DIGITS[find_meter(meter_name).scale]


class Bound(NamedTuple):
    """At most `most` units of a request. Each unit may count on any of these meters."""

    meters: tuple[str, ...]
    most: int


Way = Sequence[Bound]
"""One of the possible bills of a request."""
