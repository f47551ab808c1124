"""Rates of New API and One API: exact ratios, converted to USD per million tokens.

A token costs `model ratio` units of quota, and an output token `completion ratio` times that.
Defaults are in the program: the completion ratios that it fixes by model name are the rows below,
in its order (setting/ratio_setting of New API, 2026-10; relay/billing/ratio of One API 0.6.11). Its
built-in model ratios are outdated prices and are not used.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Final, NamedTuple

from billing.currency.money import round_half_even
from billing.prices.meters import format_rate, scale_digits
from extensions.import_hubs.new_api.channel_types import Peer

Ratios = Mapping[str, Fraction]
_Test = Callable[[str], bool]


class _Fixed(NamedTuple):
    """A ratio that the program fixes for names that pass `test`. `locked` means that the database
    cannot override it."""

    test: _Test
    ratio: Fraction
    locked: bool = True


def _prefix_test(*starts: str) -> _Test:
    return lambda name: name.startswith(starts)


def _suffix_test(*ends: str) -> _Test:
    return lambda name: name.endswith(ends)


def _has(*parts: str) -> _Test:
    return lambda name: any(part in name for part in parts)


def _is(*names: str) -> _Test:
    return lambda name: name in names


def _all_of(one: _Test, other: _Test) -> _Test:
    return lambda name: one(name) and other(name)


_NEW_API: Final = (
    _Fixed(_suffix_test("-all", "-gizmo-*"), Fraction(2), locked=False),
    _Fixed(_is("gpt-4o-2024-05-13"), Fraction(3)),
    _Fixed(_prefix_test("gpt-4o-mini-tts"), Fraction(20), locked=False),
    _Fixed(_prefix_test("gpt-4o"), Fraction(4), locked=False),
    _Fixed(_all_of(_prefix_test("gpt-5"), lambda name: "." not in name), Fraction(8)),
    _Fixed(_prefix_test("gpt-5.4-nano"), Fraction("6.25")),
    _Fixed(_prefix_test("gpt-5.4"), Fraction(6)),
    _Fixed(_prefix_test("gpt-5"), Fraction(6), locked=False),
    _Fixed(_prefix_test("gpt-4.5-preview"), Fraction(2)),
    _Fixed(_prefix_test("gpt-4-turbo"), Fraction(3)),
    _Fixed(_is("gpt-4-1106", "gpt-4-1105"), Fraction(3)),
    _Fixed(_prefix_test("gpt-"), Fraction(2), locked=False),
    _Fixed(_prefix_test("o1", "o3"), Fraction(4)),
    _Fixed(_is("chatgpt-4o-latest"), Fraction(3)),
    _Fixed(
        _has(
            *("claude-3", "claude-sonnet-4", "claude-opus-4", "claude-haiku-4"),
            *("claude-fable-5", "claude-sonnet-5", "claude-opus-5"),
        ),
        Fraction(5),
    ),
    _Fixed(_prefix_test("mistral-"), Fraction(3)),
    _Fixed(_prefix_test("gemini-1.5", "gemini-2.0"), Fraction(4)),
    _Fixed(_prefix_test("gemini-2.5-pro"), Fraction(8), locked=False),
    _Fixed(
        _all_of(_prefix_test("gemini-2.5-flash-preview"), _suffix_test("-nothinking")),
        Fraction(4),
        locked=False,
    ),
    _Fixed(
        _prefix_test("gemini-2.5-flash-preview"), Fraction("3.5") / Fraction("0.15"), locked=False
    ),
    _Fixed(_prefix_test("gemini-2.5-flash-lite"), Fraction(4), locked=False),
    _Fixed(
        _prefix_test("gemini-2.5-flash", "gemini-robotics-er-1.5"),
        Fraction("2.5") / Fraction("0.3"),
        locked=False,
    ),
    _Fixed(_prefix_test("gemini-3-pro-image"), Fraction(60), locked=False),
    _Fixed(_prefix_test("gemini-3-pro"), Fraction(6), locked=False),
    _Fixed(_prefix_test("gemini-"), Fraction(4), locked=False),
    _Fixed(_is("command-r"), Fraction(3)),
    _Fixed(_is("command-r-plus"), Fraction(5)),
    _Fixed(_is("command-r-08-2024", "command-r-plus-08-2024"), Fraction(4)),
    _Fixed(_prefix_test("command"), Fraction(4), locked=False),
    _Fixed(
        _prefix_test("ERNIE-Speed-", "ERNIE-Lite-", "ERNIE-Character", "ERNIE-Functions"),
        Fraction(2),
    ),
    _Fixed(_is("llama2-70b-4096"), Fraction("0.8") / Fraction("0.64")),
    _Fixed(_is("llama3-8b-8192"), Fraction(2)),
    _Fixed(_is("llama3-70b-8192"), Fraction("0.79") / Fraction("0.59")),
    _Fixed(lambda name: True, Fraction(1), locked=False),
)

_ONE_API: Final = tuple(
    fixed._replace(locked=False)
    for fixed in (
        _Fixed(_is("whisper-1"), Fraction(0)),
        _Fixed(_is("deepseek-chat"), Fraction(2)),
        _Fixed(_is("deepseek-reasoner"), Fraction("2.19") / Fraction("0.55")),
        _Fixed(_is("gpt-3.5-turbo"), Fraction(3)),
        _Fixed(_all_of(_prefix_test("gpt-3.5"), _suffix_test("0125")), Fraction(3)),
        _Fixed(_all_of(_prefix_test("gpt-3.5"), _suffix_test("1106")), Fraction(2)),
        _Fixed(_prefix_test("gpt-3.5"), Fraction(4, 3)),
        _Fixed(_is("gpt-4o-2024-05-13"), Fraction(3)),
        _Fixed(_prefix_test("gpt-4o"), Fraction(4)),
        _Fixed(_prefix_test("gpt-4-turbo"), Fraction(3)),
        _Fixed(_all_of(_prefix_test("gpt-4"), _suffix_test("preview")), Fraction(3)),
        _Fixed(_prefix_test("gpt-4"), Fraction(2)),
        _Fixed(_prefix_test("o1"), Fraction(4)),
        _Fixed(_is("chatgpt-4o-latest"), Fraction(3)),
        _Fixed(_prefix_test("claude-3"), Fraction(5)),
        _Fixed(_prefix_test("claude-", "mistral-", "gemini-"), Fraction(3)),
        _Fixed(_prefix_test("deepseek-"), Fraction(2)),
        _Fixed(_is("llama2-70b-4096"), Fraction("0.8") / Fraction("0.64")),
        _Fixed(_is("llama3-8b-8192"), Fraction(2)),
        _Fixed(_is("llama3-70b-8192"), Fraction("0.79") / Fraction("0.59")),
        _Fixed(
            _is("command", "command-light", "command-nightly", "command-light-nightly"),
            Fraction(2),
        ),
        _Fixed(_is("command-r"), Fraction(3)),
        _Fixed(_is("command-r-plus"), Fraction(5)),
        _Fixed(_is("grok-beta"), Fraction(3)),
        _Fixed(lambda name: True, Fraction(1)),
    )
)

_FIXED: Final[Mapping[Peer, tuple[_Fixed, ...]]] = {"new-api": _NEW_API, "one-api": _ONE_API}

# New API's default multiplier for writing a prompt to Anthropic's cache.
_CACHE_WRITE: Final = Fraction("1.25")
_CACHE_WRITE_1H: Final = Fraction("1.6")
_TOKENS: Final = 1_000_000


class RatioTables(NamedTuple):
    """The ratio options of a database, by model name. Empty if not set."""

    model: Ratios
    completion: Ratios
    fixed_price: Ratios
    cache: Ratios
    create_cache: Ratios
    image: Ratios
    audio: Ratios
    audio_completion: Ratios


def completion_ratio(peer: Peer, name: str, ratios: Ratios) -> Fraction:
    """Return the price of an output token as a multiple of an input token's."""
    fixed = next(row for row in _FIXED[peer] if row.test(name))
    if name in ratios and (not fixed.locked or "/" in name):
        return ratios[name]
    return fixed.ratio


def rates_of(
    peer: Peer, model: str, tables: RatioTables, quota_per_usd: Fraction
) -> dict[str, Fraction] | None:
    """Return a model's rates by meter, in USD per million tokens or per request, or None if the
    database has none. A price per request takes precedence over ratios."""
    name = priced_name(model) if peer == "new-api" else model
    if name in tables.fixed_price:
        return {"requests": tables.fixed_price[name]}
    ratio = tables.model.get(name)
    if ratio is None:
        return None
    per_million = ratio * _TOKENS / quota_per_usd
    rates = {
        "in_text": per_million,
        "out_text": per_million * completion_ratio(peer, name, tables.completion),
    }
    if name in tables.cache:
        rates["in_cache_read"] = per_million * tables.cache[name]
    if peer == "new-api" and ("claude" in name or name in tables.create_cache):
        write = per_million * tables.create_cache.get(name, _CACHE_WRITE)
        rates |= {"in_cache_write_5m": write, "in_cache_write_1h": write * _CACHE_WRITE_1H}
    if name in tables.image:
        rates["in_image"] = per_million * tables.image[name]
    if name in tables.audio:
        rates["in_audio"] = per_million * tables.audio[name]
        if name in tables.audio_completion:
            rates["out_audio"] = rates["in_audio"] * tables.audio_completion[name]
    return rates


def written_rates(rates: Mapping[str, Fraction]) -> tuple[dict[str, str], bool]:
    """Return the rates as decimal texts, and whether one had to be rounded half-even to our
    precision."""
    written, rounded = {}, False
    for meter, rate in rates.items():
        scaled = rate * 10 ** scale_digits(meter)
        rounded |= scaled.denominator != 1
        stored = round_half_even(scaled.numerator, scaled.denominator)
        written[meter] = format_rate(meter, stored)
    return written, rounded


def priced_name(model: str) -> str:
    """Return the name under which New API prices a model."""
    if model.startswith("gpt-4-gizmo"):
        return "gpt-4-gizmo-*"
    if model.startswith("gpt-4o-gizmo"):
        return "gpt-4o-gizmo-*"
    for family in ("gemini-2.5-flash-lite", "gemini-2.5-flash", "gemini-2.5-pro"):
        if model.startswith(family):
            return f"{family}-thinking-*" if "-thinking-" in model else model
    return model
