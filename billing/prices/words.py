"""Meters and rates as people read them: names, and exact decimals with their unit."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from billing.approvals.approvals import Line
from billing.approvals.rules import Change
from billing.currency.money import (
    format_markup,
    format_multiplier,
    format_price,
    format_scaled,
)
from billing.currency.words import money_symbol
from billing.prices.conditions import PriceKey
from billing.prices.meter_words import meter_name
from billing.prices.meters import METERS, Meter, MeterUnknown, find_meter, parse_rate, written_ms
from billing.prices.multipliers import Multiplier
from billing.prices.prices import ListedPrice
from billing.prices.pricing import PPM
from lib.numbers.formatting import group_digits

# What a rate is for, where its unit stands beside it. A quantity is counted in smaller ones.
_RATE_NAMES: Final[Mapping[str, Promise]] = {
    "in_video_ms": _("Video input"),
    "video_ms": _("Video"),
    "audio_ms": _("Audio"),
    "session_minutes": _("Session time"),
    "answer_micros": _("Value from the response"),
}
METER_GROUPS: Final[tuple[tuple[Promise, tuple[str, ...]], ...]] = (
    (_("Text"), ("in_text", "in_cache_read", "out_text", "out_reasoning")),
    (_("Cache writes"), (
        "in_cache_write_5m", "in_cache_write_30m", "in_cache_write_1h", "in_cache_write_12h",
    )),
    (_("Audio and sessions"), (
        "in_audio", "in_audio_cached", "out_audio", "audio_ms", "session_minutes", "characters",
    )),
    (_("Images"), ("in_image", "in_image_cached", "out_image", "images")),
    (_("Video"), ("in_video_ms", "video_ms")),
    (_("Requests and tools"), (
        "requests", "pages", "searches", "file_searches", "code_sessions", "answer_micros",
    )),
)  # fmt: skip
"""The meters by what people look for, as the editor of a price offers them."""
_CONDITIONS: Final[Mapping[tuple[str, str], Promise]] = {
    ("speed", "fast"): _("fast mode"),
    ("inference_geo", "us"): _("inference in the US only"),
    ("processing", "batch"): _("batch"),
}
_CONDITION_KINDS: Final[Mapping[str, Promise]] = {
    "speed": pgettext_lazy("condition of a price", "Speed"),
    "inference_geo": pgettext_lazy("condition of a price", "Place"),
    "processing": pgettext_lazy("condition of a price", "Processing"),
}
PER_MILLION: Final = pgettext_lazy("unit of a rate", "1M")
_UNITS: Final[Mapping[str, Promise]] = {
    "token": PER_MILLION,
    "character": pgettext_lazy("unit of a rate", "1M characters"),
    "ms": pgettext_lazy("unit of a rate", "s"),
    "minute": pgettext_lazy("unit of a rate", "min"),
    "request": pgettext_lazy("unit of a rate", "request"),
    "image": pgettext_lazy("unit of a rate", "image"),
    "page": pgettext_lazy("unit of a rate", "page"),
    "search": pgettext_lazy("unit of a rate", "search"),
    "session": pgettext_lazy("unit of a rate", "session"),
    "value": PER_MILLION,
}
_PER: Final[Mapping[str, Promise]] = {
    "token": pgettext_lazy("unit of a rate", "per 1M tokens"),
    "character": pgettext_lazy("unit of a rate", "per 1M characters"),
    "second": pgettext_lazy("unit of a rate", "per second"),
    "minute": pgettext_lazy("unit of a rate", "per minute"),
    "request": pgettext_lazy("unit of a rate", "per request"),
    "image": pgettext_lazy("unit of a rate", "per image"),
    "page": pgettext_lazy("unit of a rate", "per page"),
    "search": pgettext_lazy("unit of a rate", "per search"),
    "session": pgettext_lazy("unit of a rate", "per session"),
    # Counted in millionths, so that a million of them is one.
    "value": pgettext_lazy("unit of a rate", "per unit"),
}
# Digits after the point of a rate (nano per million units x parts per million) in USD per unit: per
# million tokens or characters, per 1,000 ms, per minute, per one of anything else.
_DIGITS: Final[Mapping[str, int]] = {
    "token": 15, "character": 15, "value": 15, "ms": 18, "minute": 12,
}  # fmt: skip
_MINUTE_MS: Final = 60_000
# The meters that people look for first; the others follow in the order of the meters.
_FIRST: Final = ("in_text", "in_cache_read", "out_text", "out_reasoning")
_ORDER: Final = {
    name: place
    for place, name in enumerate((*_FIRST, *(name for name in METERS if name not in _FIRST)))
}


@dataclass(frozen=True, slots=True)
class RateDisplay:
    """One rate of a price, and its tier.

    A price book has thousands of rates and a page shows a few, so texts are made on access.
    """

    meter: str
    input_over: int | None
    mode: str
    rate: int
    multiplier_ppm: int = PPM
    condition: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        if self.condition is None:
            return rate_name(self.meter)
        words = condition_words(*self.condition)
        return f"{rate_name(self.meter)} · {words}" if self.meter else words

    @property
    def text(self) -> str:
        if not self.meter:
            return gettext("× %(n)s, all tokens") % {"n": format_multiplier(self.rate)}
        return rate_text(self.meter, self.rate, self.multiplier_ppm)

    @property
    def price(self) -> str:
        """Return `$0.10`, for tables that show the unit elsewhere."""
        return _price_text(self.meter, self.rate, self.multiplier_ppm)


def rate_name(meter: str) -> str:
    """Return a meter as the name of a price: `Audio`, where its quantity is `Audio, ms`."""
    plain, _, variant = meter.partition("[")
    if plain not in _RATE_NAMES:
        return meter_name(meter)
    name = str(_RATE_NAMES[plain])
    return f"{name} ({variant.rstrip(']')})" if variant else name


def unit_word(meter: str) -> str:
    """Return the unit of this meter's rates: `1M`, `image`."""
    row = _find(meter)
    if row and written_ms(meter) == _MINUTE_MS:
        return str(_UNITS["minute"])
    return str(_UNITS[row.unit]) if row else ""


def per_unit(meter: str) -> str:
    """Return the unit of this meter's rates in words: `per 1M tokens`, `per minute`."""
    row = _find(meter)
    if row is None:
        return ""
    if row.unit == "ms":
        return str(_PER["minute" if written_ms(meter) == _MINUTE_MS else "second"])
    return str(_PER[row.unit])


def multiplier_words(multipliers: Iterable[Multiplier]) -> str:
    """Return a subscription's multipliers: ``gpt-5* × 0.8, o3 × 2``."""
    return ", ".join(f"{one.pattern} × {format_multiplier(one.ppm)}" for one in multipliers)


def markup_words(ppm: int) -> str:
    """Return the markup of a multiplier: ``+7%``, ``−10%``, ``0%``."""
    percent = format_markup(ppm)
    sign = "+" if ppm > PPM else ""
    return f"{sign}{percent}%".replace("-", "\N{MINUS SIGN}")


def marked_up(ppm: int, usd: int) -> str:
    """Return whole dollars with a multiplier, exactly: ``$10.70``."""
    return money_symbol() + format_price(usd * ppm, 6)


def rate_figure(meter: str, rate: int, multiplier_ppm: int = PPM) -> str:
    """Return the exact rate per unit in USD, with the plan's multiplier."""
    return format_scaled(_per_written_unit(meter, rate * multiplier_ppm), _digits(meter))


def rate_text(meter: str, rate: int, multiplier_ppm: int = PPM) -> str:
    """Return `$0.10 / 1M`: the exact rate with at least two decimals, its currency and its unit."""
    return f"{_price_text(meter, rate, multiplier_ppm)} / {unit_word(meter)}"


def _price_text(meter: str, rate: int, multiplier_ppm: int) -> str:
    scaled = _per_written_unit(meter, rate * multiplier_ppm)
    return money_symbol() + format_price(scaled, _digits(meter))


def _per_written_unit(meter: str, rate: int) -> int:
    """Return a rate for the unit of `unit_word`: that of time is for a second, or for a minute."""
    row = _find(meter)
    return rate * 60 if row and written_ms(meter) == _MINUTE_MS else rate


def _digits(meter: str) -> int:
    row = _find(meter)
    return _DIGITS.get(row.unit if row else "", 21)


def display_rates(stored: Mapping[str, Any], multiplier_ppm: int = PPM) -> list[RateDisplay]:
    """Return every rate of a stored price, tier by tier, in the order of the meters."""
    rates = list(_display_meters(stored["meters"], None, "", multiplier_ppm))
    for tier in stored.get("tiers") or ():
        mode = tier.get("mode", "whole")
        rates += _display_meters(tier["meters"], tier["input_over"], mode, multiplier_ppm)
    return rates


def display_conditions(stored: Mapping[str, Any], multiplier_ppm: int = PPM) -> list[RateDisplay]:
    """Return every rate of a stored price's conditions. A condition with a multiplier has no
    meter."""
    condition_rates: list[RateDisplay] = []
    for one in stored.get("conditions") or ():
        held = (one["kind"], one["value"])
        if "multiplier_ppm" in one:
            condition_rates.append(RateDisplay("", None, "", one["multiplier_ppm"], PPM, held))
        else:
            rates = display_rates(one, multiplier_ppm)
            condition_rates += [replace(rate, condition=held) for rate in rates]
    return condition_rates


def show_price_change(change: Change) -> Line:
    """Return one value of a price that waits for a second operator."""
    place, before, after = change["name"], change["before"], change["after"]
    if place == "valid_from":
        at = dt.datetime.fromisoformat(after or "")
        return Line(gettext("Starts"), "", f"{date_format(at, 'DATETIME_FORMAT')} UTC")
    if place == "replaces":
        return Line(gettext("Scheduled version"), before or "", "")
    condition = meter = tier = ""
    for part in place.split(" "):
        if part.startswith(">"):
            tier = gettext("above %(n)s") % {"n": group_digits(int(part[1:]))}
        elif "=" in part:
            condition = condition_words(*part.split("=", 1))
        elif part != "multiplier":
            meter = part
    name = " · ".join(filter(None, (rate_name(meter) if meter else "", condition, tier)))
    return Line(name, *(_written_rate(meter, text) for text in (before, after)))


def _written_rate(meter: str, text: str | None) -> str:
    if text is None:
        return ""
    return rate_text(meter, parse_rate(meter, text)) if meter else f"× {text}"


def condition_words(kind: str, value: str) -> str:
    """Return a condition of a price in words: `fast mode`."""
    known = _CONDITIONS.get((kind, value))
    return str(known) if known else f"{kind} {value}"


def condition_kind_name(kind: str) -> str:
    """Return the name of a kind of condition."""
    return str(_CONDITION_KINDS[kind])


def condition_text(key: PriceKey) -> str:
    """Return a price's channel, region, service tier and hours in words; "" for a plain price."""
    parts = []
    if key.channel:
        parts.append(gettext("channel %(name)s") % {"name": key.channel})
    if key.region:
        parts.append(gettext("region %(name)s") % {"name": key.region})
    if key.service_tier:
        parts.append(gettext("service tier %(name)s") % {"name": key.service_tier})
    if key.hours:
        parts.append(gettext("%(hours)s UTC") % {"hours": key.hours})
    return " · ".join(parts)


def source_name(price: ListedPrice) -> str:
    """Return the origin of a price in words."""
    return gettext("Price list") if price.from_catalogue else gettext("Custom")


def _display_meters(
    meters: Mapping[str, int], input_over: int | None, mode: str, multiplier_ppm: int
) -> Iterable[RateDisplay]:
    for meter, rate in sorted(meters.items(), key=_meter_sort_key):
        yield RateDisplay(meter, input_over, mode, rate, multiplier_ppm)


def meter_names() -> tuple[str, ...]:
    """Return every meter in the order of pages."""
    return tuple(_ORDER)


def meter_place(meter: str) -> int:
    """Return a meter's position in the order of pages. Variants have the position of their plain
    name."""
    return _ORDER.get(meter.split("[")[0], len(_ORDER))


def _meter_sort_key(item: tuple[str, int]) -> tuple[int, str]:
    return meter_place(item[0]), item[0]


def _find(meter: str) -> Meter | None:
    try:
        return find_meter(meter)
    except MeterUnknown:
        return None
