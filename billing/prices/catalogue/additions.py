"""Prices that the shipped catalogue lacks, each with its source and date. A model without a
published price in USD is left out and has none until an operator sets one. The catalogue's own row
takes precedence."""

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from billing.prices.catalogue.catalogue import UNDATED, CatalogueRow
from billing.prices.meters import TOKEN_METERS, parse_rate

# A provider's other names for models of the catalogue.
_ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {"nano-banana-pro": "gemini-3-pro-image-preview"}
)


# A request with `inference_geo: "us"` pays 1.1 times all token rates on Claude Opus 4.6, Claude
# Sonnet 4.6 and later models: https://platform.claude.com/docs/en/manage-claude/data-residency
_CLAUDE: Final = re.compile(r"claude-(?:opus|sonnet|haiku|fable|mythos)-(\d+)(?:-(\d+))?")
_PLACED_SINCE: Final = (4, 6)
_IN_US: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "kind": "inference_geo",
        "value": "us",
        "multiplier_ppm": 1_100_000,
        "source": "platform.claude.com data-residency",
        "date": "2026-11-24",
    }
)
# https://ai.google.dev/gemini-api/docs/optimization: flex is 50 % off, priority costs 75 % to 100 %
# more. The package's priority rates, and the pricing page for Gemini 3.7 Flash (1.35 and 6.75 USD
# instead of 0.75 and 3.75), are 1.8 times the standard price.
_GEMINI: Final = re.compile(r"gemini-(?:2\.5|3(?:\.\d)?)-(?:pro|flash|flash-lite)(?:-preview)?")
_GEMINI_TIERS: Final = (
    ("flex", 50, "ai.google.dev optimization, 2026-11-24"),
    ("priority", 180, "ai.google.dev pricing, 2026-11-24"),
)


class _Own(NamedTuple):
    """A price of our own. `usd` is by meter, in the units of `meters.py`: per million tokens or
    milliseconds, per one image or request. `tiers` apply to the whole request above that number of
    tokens. `source` is short enough for a price version, `page` is the whole address."""

    model: str
    provider: str
    source: str
    page: str
    usd: Mapping[str, str]
    tiers: tuple[tuple[int, Mapping[str, str]], ...] = ()


_OWN: Final = (
    _Own(
        "deepseek-v3",
        "deepseek",
        "api-docs.deepseek.com, 2025-02-09",
        "https://api-docs.deepseek.com/quick_start/pricing-details-usd",
        {"in_text": "0.27", "in_cache_read": "0.07", "out_text": "1.10"},
    ),
    # DeepSeek itself only serves newer models.
    _Own(
        "deepseek-v3-1-250821",
        "azure",
        "models.dev azure, 2026-06-08",
        "https://github.com/anomalyco/models.dev providers/azure/models/deepseek-v3.1.toml",
        {"in_text": "0.56", "out_text": "1.68"},
    ),
    # Model Studio, international.
    _Own(
        "qwen3-coder-plus",
        "alibaba",
        "models.dev alibaba, 2026-11-21",
        "https://github.com/anomalyco/models.dev providers/alibaba/models/qwen3-coder-plus.toml",
        {
            "in_text": "1",
            "in_cache_read": "0.2",
            "in_cache_write_5m": "1.25",
            "in_cache_write_1h": "1.25",
            "out_text": "5",
        },
        (
            (
                32_000,
                {
                    "in_text": "1.8",
                    "in_cache_read": "0.36",
                    "in_cache_write_5m": "2.25",
                    "in_cache_write_1h": "2.25",
                    "out_text": "9",
                },
            ),
            (
                128_000,
                {
                    "in_text": "3",
                    "in_cache_read": "0.6",
                    "in_cache_write_5m": "3.75",
                    "in_cache_write_1h": "3.75",
                    "out_text": "15",
                },
            ),
            (
                256_000,
                {
                    "in_text": "6",
                    "in_cache_read": "1.2",
                    "in_cache_write_5m": "7.5",
                    "in_cache_write_1h": "7.5",
                    "out_text": "60",
                },
            ),
        ),
    ),
    # That page has no price for pictures: a request with pictures is held for review.
    _Own(
        "qwen3-omni-flash",
        "alibaba",
        "models.dev alibaba, 2026-06-13",
        "https://github.com/anomalyco/models.dev providers/alibaba/models/qwen3-omni-flash.toml",
        {"in_text": "0.43", "in_audio": "3.81", "out_text": "1.66", "out_audio": "15.11"},
    ),
    _Own(
        "doubao-seed-1-8-251228",
        "llmgateway",
        "models.dev llmgateway, 2026-06-23",
        "https://github.com/anomalyco/models.dev providers/llmgateway/models/seed-1-8-251228.toml",
        {"in_text": "0.25", "in_cache_read": "0.05", "out_text": "2.00"},
    ),
    _Own(
        "omni-moderation-latest",
        "openai",
        "developers.openai.com, 2026-11-21",
        "https://developers.openai.com/api/docs/models/omni-moderation-latest",
        {"requests": "0"},
    ),
    # OpenAI shut both down on 2026-05-12 (developers.openai.com/api/docs/deprecations); other
    # providers still serve them. BerriAI/litellm has the same prices, per pixel (2026-07-24).
    _Own(
        "dall-e-3",
        "openai",
        "openai.com/pricing, 2023-12-25",
        "https://openai.com/pricing, by github.com/kevinhermawan/Canvas model-info.json",
        {
            "images[1024x1024,standard]": "0.04",
            "images[1024x1792,standard]": "0.08",
            "images[1792x1024,standard]": "0.08",
            "images[1024x1024,hd]": "0.08",
            "images[1024x1792,hd]": "0.12",
            "images[1792x1024,hd]": "0.12",
        },
    ),
    _Own(
        "dall-e-2",
        "openai",
        "openai.com/pricing, 2023-12-25",
        "https://openai.com/pricing, by github.com/kevinhermawan/Canvas model-info.json",
        {
            "images[256x256]": "0.016",
            "images[512x512]": "0.018",
            "images[1024x1024]": "0.02",
        },
    ),
    _Own(
        "veo-3.1-generate-preview",
        "google",
        "ai.google.dev pricing, 2026-09-20",
        "https://ai.google.dev/gemini-api/docs/pricing, by github.com/api-evangelist/gemini",
        {"video_ms[720p]": "400", "video_ms[1080p]": "400", "video_ms[2160p]": "600"},
    ),
    # 1080p is from that copy; 720p and 4K are from reapi.ai, which read the page in 2026-05.
    _Own(
        "veo-3.1-fast-generate-preview",
        "google",
        "ai.google.dev pricing, 2026-04-09",
        "https://ai.google.dev/gemini-api/docs/pricing, by ddsboston.com and reapi.ai",
        {"video_ms[720p]": "100", "video_ms[1080p]": "120", "video_ms[2160p]": "300"},
    ),
    _Own(
        "veo-3.1-lite-generate-preview",
        "google",
        "litellm gemini, 2026-07-24",
        "https://github.com/BerriAI/litellm model_prices_and_context_window.json",
        {"video_ms[720p]": "50", "video_ms[1080p]": "80"},
    ),
    _Own(
        "veo-2.0-generate-001",
        "google",
        "litellm gemini, 2026-07-24",
        "https://github.com/BerriAI/litellm model_prices_and_context_window.json",
        {"video_ms": "350"},
    ),
    # Model Studio, international, from copies of its page.
    _Own(
        "qwen-image",
        "alibaba",
        "alibabacloud.com, 2026-11-28",
        "https://www.alibabacloud.com/help/en/model-studio/model-pricing",
        {"images": "0.035"},
    ),
    _Own(
        "qwen-image-edit",
        "alibaba",
        "alibabacloud.com, 2026-11-28",
        "https://www.alibabacloud.com/help/en/model-studio/model-pricing",
        {"images": "0.045"},
    ),
    # Cohere names no price by the search any more (2026-10-18). BerriAI/litellm has the same.
    _Own(
        "rerank-v3.5",
        "cohere",
        "docs.memberjunction.org, 2026-11-28",
        "https://docs.memberjunction.org/api/classes/_memberjunction_search-engine.CohereReRanker.html",
        {"searches": "0.002"},
    ),
    # Nobody was found who names a price of the other rerankers of Jina.
    _Own(
        "jina-reranker-m0",
        "jina",
        "getmaxim.ai jina_ai, 2026-11-28",
        "https://www.getmaxim.ai/bifrost/llm-cost-calculator/provider/jina_ai/model/jina-reranker-m0",
        {"in_text": "0.05"},
    ),
    # Model Studio, international.
    _Own(
        "wan2.1-t2v-turbo",
        "alibaba",
        "alibabacloud.com, 2025-05-22",
        "https://www.alibabacloud.com/help/en/model-studio/text-to-video-api-reference",
        {"video_ms": "36"},
    ),
    _Own(
        "wan2.1-t2v-plus",
        "alibaba",
        "alibabacloud.com, 2025-05-22",
        "https://www.alibabacloud.com/help/en/model-studio/text-to-video-api-reference",
        {"video_ms": "100"},
    ),
    _Own(
        "wan2.1-kf2v-plus",
        "alibaba",
        "alibabacloud.com, 2025-06-10",
        "https://www.alibabacloud.com/help/en/model-studio/"
        "image-to-video-by-first-and-last-frame-api-reference",
        {"video_ms": "100"},
    ),
)


def add_own_prices(rows: Iterable[CatalogueRow]) -> Iterator[CatalogueRow]:
    """Yield the rows of the catalogue, then our own prices for names that it lacks."""
    listed = [_add_conditions(row) for row in rows]
    listed += [tier for row in listed for tier in _tiers(row)]
    taken = {row.model for row in listed}
    yield from listed
    for alias, model in _ALIASES.items():
        if alias not in taken:
            yield from (
                row._replace(model=alias, alias_of=model) for row in listed if row.model == model
            )
    yield from (_catalogue_row(own) for own in _OWN if own.model not in taken)


def _add_conditions(row: CatalogueRow) -> CatalogueRow:
    """Return the row with its regional inference price, if its provider offers one."""
    match = _CLAUDE.fullmatch(row.alias_of or row.model)
    if row.provider != "anthropic" or match is None:
        return row
    if (int(match[1]), int(match[2] or 0)) < _PLACED_SINCE:
        return row
    conditions = [*row.rates.get("conditions", ()), dict(_IN_US)]
    return row._replace(rates={**row.rates, "conditions": conditions})


def _tiers(row: CatalogueRow) -> Iterator[CatalogueRow]:
    """Yield the service tiers of a Gemini model. The package only has those of speech models."""
    model = row.alias_of or row.model
    if row.provider != "google" or row.service_tier or not _GEMINI.fullmatch(model):
        return
    for tier, percent, source in _GEMINI_TIERS:
        rates = _scale_rates(row.rates, percent)
        if rates is not None:
            yield row._replace(service_tier=tier, rates=rates, source=source)


def _scale_rates(rates: Mapping[str, Any], percent: int) -> dict[str, Any] | None:
    """Return rates with token rates scaled to a percentage and all others unchanged; None if a
    scaled rate would not be an integer."""

    def scale(meters: Mapping[str, int]) -> dict[str, int]:
        return {
            name: rate * percent // 100 if name in TOKEN_METERS else rate
            for name, rate in meters.items()
        }

    tables = [rates["meters"], *(tier["meters"] for tier in rates["tiers"])]
    scaled = [rate for meters in tables for name, rate in meters.items() if name in TOKEN_METERS]
    if any(rate * percent % 100 for rate in scaled):
        return None
    tiers = [{**tier, "meters": scale(tier["meters"])} for tier in rates["tiers"]]
    return {"meters": scale(rates["meters"]), "tiers": tiers}


def own_models() -> frozenset[str]:
    """Return the names that have a price of our own."""
    return frozenset((*_ALIASES, *(own.model for own in _OWN)))


def _catalogue_row(own: _Own) -> CatalogueRow:
    tiers = [
        {"input_over": above, "mode": "whole", "meters": _nano(usd)} for above, usd in own.tiers
    ]
    rates: dict[str, Any] = {"meters": _nano(own.usd), "tiers": tiers}
    return CatalogueRow(own.model, None, own.provider, UNDATED, None, rates, source=own.source)


def _nano(usd: Mapping[str, str]) -> dict[str, int]:
    return {meter: parse_rate(meter, price) for meter, price in usd.items()}
