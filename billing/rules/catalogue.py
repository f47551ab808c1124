"""The shipped price list: the data of the genai-prices package as price rows of ours, exactly.

The data comes in as the argument (`genai_prices.data.providers`), because importing that package
loads an HTTP client. Only its shape is used here:

    provider   id, models
    model      id, match, prices, price_variants
    prices     one set, or a list of (constraint, prices) of which the last active one holds
    set        attributes such as input_mtok: a Decimal, or base with tiers (start, price)
    constraint None, start_date, or start_time with end_time
    match      equals, starts_with, regex, contains, ends_with, or_, and_

What cannot be carried over without a guess is not carried over, and `skipped` says why.

Names. A name belongs to one provider: to the one that makes the model before those that only host
it, in the order of MAKERS and HOSTS. A maker's rows also come under its other names (`alias_of`),
and under a pattern for its dated names (`gpt-4o-20*`).
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, Literal, NamedTuple

from billing.rules.money import INT64_MAX

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
# The widest list of names first; whoever is not named comes last, in the order of the data.
HOSTS: Final = ("openrouter", "groq", "together", "fireworks", "novita", "azure", "aws")

# What the data does not date was always so.
UNDATED: Final = datetime(1970, 1, 1, tzinfo=UTC)

_PER_MILLION: Final = Fraction(10**9)
_PER_THOUSAND_OF_ONE: Final = Fraction(10**15, 10**3)
# USD an hour is USD per 3.6 million ms.
_PER_HOUR: Final = Fraction(10**9 * 10**6, 3_600_000)

# Price key of the data -> our meters, and nano per million units for each USD. Where two keys feed
# one meter, the later one is the more exact and wins.
_KEYS: Final[dict[str, tuple[tuple[str, ...], Fraction]]] = {
    # No listed provider has another price for input images than for text unless it says so.
    "input_mtok": (("in_text", "in_image", "in_image_cached"), _PER_MILLION),
    "cache_read_mtok": (("in_cache_read", "in_image_cached"), _PER_MILLION),
    # An apart image or audio price without a cached one promises no discount.
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

SkipReason = Literal[
    "no_price",  # the data names the model and no price
    "name_taken",  # another provider's row has the name
    "time_of_day",  # the price depends on the hour: the whole model is left out
    "not_exact",  # a rate is no whole number of nano per million: that version is left out
    "no_meter",  # we count nothing that this price key is for: only the key is left out
    "variant",  # prices for other service tiers: only these are left out
]


class CatalogueRow(NamedTuple):
    """One price version. `rates` is the stored form that PriceVersion.from_stored reads.

    `model` is a name, or for aliases maybe a pattern with `*`. `alias_of` is None for a model's own
    name, the one to list. `valid_to` is None while the version is open.
    """

    model: str
    alias_of: str | None
    provider: str
    valid_from: datetime
    valid_to: datetime | None
    rates: dict[str, Any]


class Skipped(NamedTuple):
    """What was not carried over: of which model, why, and in words what exactly."""

    provider: str
    model: str
    reason: SkipReason
    detail: str


class Conversion(NamedTuple):
    """Rows that are valid prices, and everything that is not among them."""

    rows: tuple[CatalogueRow, ...]
    skipped: tuple[Skipped, ...]

    def count_skipped(self) -> Counter[SkipReason]:
        """How many were skipped for each reason."""
        return Counter(skip.reason for skip in self.skipped)


class _NotExact(Exception):
    pass


def convert_catalogue(providers: Iterable[Any]) -> Conversion:
    """All rows of the package's `providers`, by the rules at the top of this file."""
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
    """Who has the name, by itself or as a dated name of the model that it begins with."""
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

    dated: list[tuple[date | None, Any]] = []
    for constraint, prices in _conditions(model.prices):
        if hasattr(constraint, "start_time"):
            skip("time_of_day", f"{_clock(constraint.start_time)} to {_clock(constraint.end_time)}")
            return
        dated.append((getattr(constraint, "start_date", None), prices))
    if model.price_variants:
        skip("variant", f"{len(model.price_variants)} sets of prices for other service tiers")
    for valid_from, valid_to, prices in _versions(dated):
        keys = {key: value for key, value in vars(prices).items() if value is not None}
        for key in sorted(keys.keys() - _KEYS.keys()):
            skip("no_meter", key)
        try:
            rates = _rates(keys)
        except _NotExact as inexact:
            skip("not_exact", str(inexact))
            continue
        if not rates["meters"]:
            skip("no_price", f"from {valid_from.date()}")
            continue
        for name in names:
            alias_of = None if name == model.id else model.id
            yield CatalogueRow(name, alias_of, provider_id, valid_from, valid_to, rates)


def _conditions(prices: Any) -> list[tuple[Any, Any]]:
    if isinstance(prices, list):
        return [(condition.constraint, condition.prices) for condition in prices]
    return [(None, prices)]


def _clock(at: time) -> str:
    return f"{at:%H:%M}"


def _versions(
    dated: list[tuple[date | None, Any]],
) -> Iterator[tuple[datetime, datetime | None, Any]]:
    """Spans of time that tile it, each with the set that holds: the last one active in the list.

    Before anything is active the first of the list holds, as the package has it.
    """
    starts = sorted({start for start, _ in dated if start is not None})
    begins = [UNDATED, *(datetime.combine(start, time(), tzinfo=UTC) for start in starts)]
    for begin, end in zip(begins, [*begins[1:], None], strict=True):
        active = [prices for start, prices in dated if start is None or start <= begin.date()]
        yield begin, end, active[-1] if active else dated[0][1]


def _rates(keys: Mapping[str, Any]) -> dict[str, Any]:
    """The stored form. A threshold of the data is strictly above and for the whole request."""
    meters: dict[str, int] = {}
    above: dict[int, dict[str, int]] = {}
    for key, (fed, scale) in _KEYS.items():
        if key not in keys:
            continue
        value = keys[key]
        tiered = hasattr(value, "tiers")
        for meter in fed:
            meters[meter] = _exact(key, value.base if tiered else value, scale)
            # A later key replaces a meter's tiers as well.
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
