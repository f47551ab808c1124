"""Prices that the shipped catalogue lacks, each with where it stands and when it was read there.

A model of which no published price in USD is found is not here: it has none until an operator
names one. Where the catalogue has a row for a name, that holds.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from billing.rules.catalogue import UNDATED, CatalogueRow

_NANO: Final = Decimal(10**9)
# Other names that a provider has for a model of the catalogue.
_ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {"nano-banana-pro": "gemini-3-pro-image-preview"}
)


class _Own(NamedTuple):
    """`usd` per million tokens by meter; `tiers` hold for the whole request above so many tokens.
    `source` is short enough for a price version, `page` the whole address."""

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
    # DeepSeek itself serves newer models only.
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
    # What its pictures cost is not told there: a request with some is held for review.
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
)


def with_own_prices(rows: Iterable[CatalogueRow]) -> Iterator[CatalogueRow]:
    """The rows of the catalogue, and the prices of our own for names that it lacks."""
    listed = list(rows)
    taken = {row.model for row in listed}
    yield from listed
    for alias, model in _ALIASES.items():
        if alias not in taken:
            yield from (
                row._replace(model=alias, alias_of=model) for row in listed if row.model == model
            )
    yield from (_row(own) for own in _OWN if own.model not in taken)


def own_models() -> frozenset[str]:
    """The names that have a price of our own."""
    return frozenset((*_ALIASES, *(own.model for own in _OWN)))


def _row(own: _Own) -> CatalogueRow:
    tiers = [
        {"input_over": above, "mode": "whole", "meters": _nano(usd)} for above, usd in own.tiers
    ]
    rates: dict[str, Any] = {"meters": _nano(own.usd), "tiers": tiers}
    return CatalogueRow(own.model, None, own.provider, UNDATED, None, rates, source=own.source)


def _nano(usd: Mapping[str, str]) -> dict[str, int]:
    return {meter: int(Decimal(price) * _NANO) for meter, price in usd.items()}
