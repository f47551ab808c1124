"""The shipped price list: the genai-prices data as exact price rows.

The data comes in as the argument (`genai_prices.data.providers`), because importing that package
loads an HTTP client. Only its shape is used here:

    provider   id, models
    model      id, match, prices, price_variants
    prices     one set, or a list of (constraint, prices) of which the last active one holds
    set        attributes such as input_mtok: a Decimal, or base with tiers (start, price)
    constraint None, start_date, or start_time with end_time
    variant    when (service_tier, speed, processing, …), constraint, prices
    match      equals, starts_with, regex, contains, ends_with, or_, and_

Data that cannot be converted without a guess is left out, and `skipped` says why.

Names. A name belongs to one provider. The provider that makes the model comes before those that
only host it, in the order of MAKERS and HOSTS. A maker's rows also appear under its other names
(`alias_of`), and under a pattern for its dated names (`gpt-4o-20*`).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, cast

from billing.currency.money import INT64_MAX
from billing.prices.conditions import Hours, read_hours, tier_name
from dialects.usage.price_conditions import KINDS, TIER

CATALOGUE: Final = "genai-prices"
"""The source of a version from the shipped catalogue begins with this."""

MAKERS: Final = (
    "openai",
    "anthropic",
    "google",
    "deepseek",
    "x-ai",
    "mistral",
    "moonshotai",
    "zai",
    "zhipuai",
    "minimax",
    "cohere",
    "perplexity",
    "meta",
    "voyageai",
    "elevenlabs",
    "arcee",
)
# The longest list of names first. Providers not listed here come last, in the order of the data.
HOSTS: Final = ("openrouter", "groq", "together", "fireworks", "novita", "azure", "aws")

# Prices without a date apply from the beginning.
UNDATED: Final = datetime(1970, 1, 1, tzinfo=UTC)

_PER_MILLION: Final = Fraction(10**9)
_PER_THOUSAND_OF_ONE: Final = Fraction(10**15, 10**3)
# USD an hour is USD per 3.6 million ms.
_PER_HOUR: Final = Fraction(10**9 * 10**6, 3_600_000)
# Sessions that are charged for the time for which they are open, at 60 billion units an hour.
_OPEN_SESSION: Final = re.compile(r"gpt-live-[0-9.]+(?:-.*)?")
_PER_SESSION_HOUR: Final = Fraction(10**9 * 10**6, 60 * 10**9)

# Price key of the data -> our meters, and nano per million units for each USD. If two keys set one
# meter, the later key here is more exact and wins.
_KEYS: Final[dict[str, tuple[tuple[str, ...], Fraction]]] = {
    # Listed providers charge input images at the text price unless they state another one.
    "input_mtok": (("in_text", "in_image", "in_image_cached"), _PER_MILLION),
    "cache_read_mtok": (("in_cache_read", "in_image_cached"), _PER_MILLION),
    # A separate image or audio price without a cached price implies no cache discount.
    "input_image_mtok": (("in_image", "in_image_cached"), _PER_MILLION),
    "cache_image_read_mtok": (("in_image_cached",), _PER_MILLION),
    "input_audio_mtok": (("in_audio", "in_audio_cached"), _PER_MILLION),
    "cache_audio_read_mtok": (("in_audio_cached",), _PER_MILLION),
    "cache_write_mtok": (("in_cache_write_5m", "in_cache_write_1h"), _PER_MILLION),
    "cache_write_5m_mtok": (("in_cache_write_5m",), _PER_MILLION),
    "cache_write_1h_mtok": (("in_cache_write_1h",), _PER_MILLION),
    "output_mtok": (("out_text",), _PER_MILLION),
    "output_reasoning_mtok": (("out_reasoning",), _PER_MILLION),
    "output_audio_mtok": (("out_audio",), _PER_MILLION),
    "output_image_mtok": (("out_image",), _PER_MILLION),
    "input_mchars": (("characters",), _PER_MILLION),
    "audio_hours": (("audio_ms",), _PER_HOUR),
    "input_audio_hours": (("audio_ms",), _PER_HOUR),
    "input_document_kpages": (("pages",), _PER_THOUSAND_OF_ONE),
    "web_searches_kcount": (("searches",), _PER_THOUSAND_OF_ONE),
    "storage_searches_kcount": (("file_searches",), _PER_THOUSAND_OF_ONE),
    "requests_kcount": (("requests",), _PER_THOUSAND_OF_ONE),
}

_DATED_NAME: Final = re.compile(r".+[-@]20(?=[0-9]{2})")
_DATED_TAIL: Final = re.compile(r"-20[0-9]{2}-?$")
_DATED_REGEX: Final = re.compile(
    r"\^((?:[0-9A-Za-z_:/-]|\\\.)+?)(?:-|\[-@\])(?:\\d\{8\}|\\d\{4\}-\\d\{2\}-\\d\{2\})\$"
)

_MEDIA_OUTPUT: Final = (
    (re.compile(r"gpt-image-.*"), "out_image"),
    (re.compile(r"(?:gpt|gemini)-.*-tts(?:-.*)?"), "out_audio"),
)

SkipReason = Literal[
    "no_price",  # the data names the model but no price
    "name_taken",  # another provider's row has the name
    "time_of_day",  # hours that overlap each other: the whole model is left out
    "not_exact",  # a rate is no whole number of nano per million: that version is left out
    "no_meter",  # we have no meter for this price key: only the key is left out
    "variant",  # prices under a condition that our requests and answers do not show: left out
]


class CatalogueRow(NamedTuple):
    """One price version. `rates` is the stored form that PriceVersion.from_stored reads.

    `model` is a name; an alias may also be a pattern with `*`. `alias_of` is None for a model's own
    name, the one to list. `valid_to` is None while the version is open. `service_tier` and `hours`
    restrict it (conditions.py). `source` is the page of a price of our own with the date of
    reading, "" for prices of the package.
    """

    model: str
    alias_of: str | None
    provider: str
    valid_from: datetime
    valid_to: datetime | None
    rates: dict[str, Any]
    service_tier: str = ""
    hours: str = ""
    source: str = ""


class Skipped(NamedTuple):
    """Data that was left out: the model, the reason, and the detail in words."""

    provider: str
    model: str
    reason: SkipReason
    detail: str


class Conversion(NamedTuple):
    """The valid rows, and everything that was left out."""

    rows: tuple[CatalogueRow, ...]
    skipped: tuple[Skipped, ...]


class _NotExact(Exception):
    pass


def convert_catalogue(providers: Iterable[Any]) -> Conversion:
    """Return all rows of the package's `providers`, by the rules at the top of this file."""
    rows: list[CatalogueRow] = []
    skipped: list[Skipped] = []
    owners: dict[str, str] = {}
    for provider in sorted(providers, key=lambda provider: _rank(provider.id)):
        owned: list[tuple[Any, list[str]]] = []
        for model in provider.models:
            owner = _owner(model.id, owners)
            if owner is None:
                owners[model.id] = provider.id
                owned.append((model, [model.id]))
            else:
                skipped.append(Skipped(provider.id, model.id, "name_taken", f"by {owner}"))
        for model, names in owned:
            if provider.id in MAKERS:
                for name in _other_names(model.match):
                    if name not in owners:
                        owners[name] = provider.id
                        names.append(name)
            rows.extend(_convert_model(provider.id, model, names, skipped))
    return Conversion(tuple(rows), tuple(skipped))


def _rank(provider_id: str) -> int:
    order = (*MAKERS, *HOSTS)
    return order.index(provider_id) if provider_id in order else len(order)


def _owner(name: str, owners: Mapping[str, str]) -> str | None:
    """Return the owner of a name, or of the name without its date."""
    dated = _DATED_NAME.match(name)
    return owners.get(name) or (owners.get(f"{dated.group()}*") if dated else None)


def _other_names(match: Any) -> Iterator[str]:
    if hasattr(match, "or_"):
        for clause in match.or_:
            yield from _other_names(clause)
    elif hasattr(match, "equals"):
        yield match.equals
    elif hasattr(match, "starts_with"):
        start = match.starts_with
        if _DATED_TAIL.search(start):
            yield f"{start}*"
        elif start[-1].isalnum():
            yield start
            yield f"{start}-20*"
        else:
            yield f"{start}20*"
    elif hasattr(match, "regex"):
        dated = _DATED_REGEX.fullmatch(match.regex)
        if dated:
            yield f"{dated.group(1)}-20*".replace("\\", "")


def _convert_model(
    provider_id: str, model: Any, names: list[str], skipped: list[Skipped]
) -> Iterator[CatalogueRow]:
    def skip(reason: SkipReason, detail: str) -> None:
        skipped.append(Skipped(provider_id, model.id, reason, detail))

    hourly = _split_by_hours(model.prices)
    if isinstance(hourly, str):
        skip("time_of_day", hourly)
        return
    tiers: dict[str, _Dated] = {}
    conditions: dict[tuple[str, str], _Dated] = {}
    for variant in model.price_variants or ():
        ((kind, word), *more) = variant.when.items()
        start = getattr(variant.constraint, "start_date", None)
        tier = tier_name(word) if kind == TIER else ""
        if tier and not more:
            tiers.setdefault(tier, []).append((start, _keys(variant.prices)))
        elif kind in KINDS and word in KINDS[kind].known and not more:
            conditions.setdefault((kind, word), []).append((start, _keys(variant.prices)))
        elif not (kind == TIER and word in KINDS[TIER].plain):
            skip("variant", ", ".join(f"{name} {word}" for name, word in variant.when.items()))
    for hours, dated in hourly.items():
        held = conditions if hours == "" else {}
        yield from _rows_of_versions(
            provider_id, model, names, _versions(dated, held), skip, hours=hours
        )
    for tier, variants in tiers.items():
        versions = _tier_versions(hourly[""], variants)
        yield from _rows_of_versions(provider_id, model, names, versions, skip, service_tier=tier)


def _rows_of_versions(
    provider_id: str,
    model: Any,
    names: list[str],
    versions: Iterable["_Version"],
    skip: Callable[[SkipReason, str], None],
    *,
    service_tier: str = "",
    hours: str = "",
) -> Iterator[CatalogueRow]:
    for valid_from, valid_to, keys, conditions in versions:
        for key in sorted(keys.keys() - _KEYS.keys()):
            skip("no_meter", key)
        try:
            rates = _add_media_output(_rates(keys, model.id), model.id)
            if conditions:
                rates["conditions"] = [
                    _condition(rates, model.id, *condition) for condition in conditions
                ]
        except _NotExact as inexact:
            skip("not_exact", str(inexact))
            continue
        if not rates["meters"]:
            skip("no_price", f"from {valid_from.date()}")
            continue
        for name in names:
            alias_of = None if name == model.id else model.id
            yield CatalogueRow(
                model=name,
                alias_of=alias_of,
                provider=provider_id,
                valid_from=valid_from,
                valid_to=valid_to,
                rates=rates,
                service_tier=service_tier,
                hours=hours,
            )


# Keys of a set of prices that have a value. Sets with the date from which they are active.
_Keys = dict[str, Any]
_Dated = list[tuple[date | None, _Keys]]
# A condition's kind and value, the date from which it is known, and its prices.
_Held = tuple[str, str, date | None, _Keys]
_Version = tuple[datetime, datetime | None, _Keys, Sequence[_Held]]


def _keys(prices: Any) -> _Keys:
    return {key: value for key, value in vars(prices).items() if value is not None}


def _split_by_hours(prices: Any) -> dict[str, _Dated] | str:
    """Return the dated sets of prices by their hours, "" for the whole day.

    In the data, prices by hours come after all dated ones and win over them on every date. Returns
    a text if hours overlap: it names them.
    """
    by_hours: dict[str, _Dated] = {"": []}
    spans: list[tuple[str, Hours]] = []
    for constraint, own_prices in _conditions(prices):
        if not hasattr(constraint, "start_time"):
            by_hours[""].append((getattr(constraint, "start_date", None), _keys(own_prices)))
            continue
        hours = f"{_clock(constraint.start_time)}-{_clock(constraint.end_time)}"
        span = cast(Hours, read_hours(hours))
        for other, taken in spans:
            if span.overlap(taken):
                return f"{other} and {hours}"
        spans.append((hours, span))
        by_hours[hours] = [(None, _keys(own_prices))]
    return by_hours


def _conditions(prices: Any) -> list[tuple[Any, Any]]:
    if isinstance(prices, list):
        return [(condition.constraint, condition.prices) for condition in prices]
    return [(None, prices)]


def _clock(at: time) -> str:
    return f"{at:%H:%M}"


def _versions(
    dated: _Dated, conditions: Mapping[tuple[str, str], _Dated] = MappingProxyType({})
) -> Iterator[_Version]:
    """Return spans that tile time, each with its set of prices (the last active one in the list)
    and the sets of its conditions.

    Before the first date the first set of the list applies, as in the package. A condition's first
    set applies from the beginning; its later dates begin new spans.
    """
    later = [
        one
        for variants in conditions.values()
        for one in variants
        if one[0] is not None and one[0] != _first_date(variants)
    ]
    for begin, end in _spans([*dated, *later]):
        active = _active(dated, begin)
        keys = active[-1] if active else dated[0][1]
        held: list[_Held] = []
        for (kind, value), variants in conditions.items():
            # If several sets are active, the first in the list applies.
            over = next(iter(_active(variants, begin)), variants[-1][1])
            held.append((kind, value, _first_date(variants), {**keys, **over}))
        yield begin, end, keys, held


def _first_date(variants: _Dated) -> date | None:
    return min((start for start, _ in variants if start is not None), default=None)


def _condition(
    plain: Mapping[str, Any], model: str, kind: str, value: str, since: date | None, keys: _Keys
) -> dict[str, Any]:
    """Return a condition in the stored form: the rates that it replaces, and its own tiers."""
    rates = _add_media_output(_rates(keys, model), model)
    plain_rates = plain["meters"]
    replaced = {
        name: rate for name, rate in rates["meters"].items() if plain_rates.get(name) != rate
    }
    condition = {"kind": kind, "value": value, "meters": replaced, "tiers": rates["tiers"]}
    dated = {"date": since.isoformat()} if since else {}
    return condition | {"source": CATALOGUE} | dated


def _tier_versions(standard: _Dated, variants: _Dated) -> Iterator[_Version]:
    """Return the spans of a service tier: the plain prices, with the tier's own prices in their
    place. If several sets are active, the first in the list applies. There is no span before the
    tier's first date."""
    for begin, end in _spans([*standard, *variants]):
        (only_price,) = (
            keys for at, until, keys, _ in _versions(standard) if _is_within(begin, at, until)
        )
        over: _Keys = {}
        for keys in _active(variants, begin):
            over = {**keys, **over}
        if over:
            yield begin, end, {**only_price, **over}, ()


def _spans(dated: _Dated) -> Iterator[tuple[datetime, datetime | None]]:
    starts = sorted({start for start, _ in dated if start is not None})
    begins = [UNDATED, *(datetime.combine(start, time(), tzinfo=UTC) for start in starts)]
    return zip(begins, [*begins[1:], None], strict=True)


def _active(dated: _Dated, at: datetime) -> list[_Keys]:
    return [keys for start, keys in dated if start is None or start <= at.date()]


def _is_within(at: datetime, begin: datetime, end: datetime | None) -> bool:
    return begin <= at and (end is None or at < end)


def _add_media_output(rates: dict[str, Any], model: str) -> dict[str, Any]:
    """Return the rates with a media output meter for a model that only generates pictures or
    speech. If the data has no price for media, the output price is used."""
    meter = next((meter for sign, meter in _MEDIA_OUTPUT if sign.fullmatch(model)), None)
    if meter is None or meter in rates["meters"] or "out_text" not in rates["meters"]:
        return rates
    for meters in (rates["meters"], *(tier["meters"] for tier in rates["tiers"])):
        if "out_text" in meters:
            meters[meter] = meters["out_text"]
    return rates


def _rates(keys: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return the rates in the stored form. In the data, a tier applies strictly above its threshold
    and to the whole request."""
    meters: dict[str, int] = {}
    above: dict[int, dict[str, int]] = {}
    for key, (fed, scale) in _KEYS.items():
        if key not in keys:
            continue
        if key == "audio_hours" and _OPEN_SESSION.fullmatch(model):
            fed, scale = ("session_minutes",), _PER_SESSION_HOUR
        value = keys[key]
        tiered = hasattr(value, "tiers")
        for meter in fed:
            meters[meter] = _exact(key, value.base if tiered else value, scale)
            # A later key also replaces a meter's tiers.
            for tier in above.values():
                tier.pop(meter, None)
            for step in value.tiers if tiered else ():
                above.setdefault(step.start, {})[meter] = _exact(key, step.price, scale)
    return {
        "meters": meters,
        "tiers": [
            {"input_over": start, "mode": "whole", "meters": tier}
            for start, tier in sorted(above.items())
            if tier
        ],
    }


def _exact(key: str, usd: Decimal, scale: Fraction) -> int:
    rate = Fraction(usd) * scale
    if rate.denominator != 1 or not 0 <= rate <= INT64_MAX:
        raise _NotExact(f"{key} of {usd} USD")
    return rate.numerator
