"""Every model that the contract names is priced, free, or here with the reason (P24, I14)."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final

import pytest

from billing.prices.catalogue.additions import add_own_prices, own_models
from billing.prices.catalogue.catalogue import UNDATED, CatalogueRow
from billing.prices.meters import find_meter
from billing.prices.pricing import CostLines, PriceVersion, price
from tests.support.shipped import shipped_rows

ROWS: Final = shipped_rows()
# The models of the contract that are served by text endpoints.
PRICED: Final = (
    *("gpt-5.4", "gpt-5.4-mini", "gpt-5.2", "gpt-5.1", "gpt-5-chat", "gpt-4.1", "gpt-4o"),
    *("gpt-4o-mini", "gpt-3.5-turbo", "gpt-4", "o4-mini", "o3-mini", "o1"),
    *("claude-opus-4-6", "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"),
    *("claude-sonnet-4-20250514", "claude-3-opus-20240229", "claude-3-haiku-20240307"),
    *("deepseek-v4-pro", "deepseek-v3-1-250821", "deepseek-v3", "deepseek-r1"),
    *("grok-4", "grok-4-fast-reasoning", "grok-3", "grok-3-fast"),
    *("gemini-3.1-pro-preview", "gemini-3-pro-preview", "gemini-3-flash-preview"),
    *("nano-banana-pro", "gemini-3-pro-image-preview", "qwen3-coder-plus", "qwen3-omni-flash"),
    *("glm-5", "glm-4.7", "doubao-seed-1-8-251228", "kimi-k2.5"),
)
FREE: Final = ("omni-moderation-latest",)
# What a request for each holds: by the meter that a usual order of it is counted on.
MEDIA: Final = (
    ("dall-e-3", "images[1024x1024,standard]", 40_000_000),
    ("dall-e-2", "images[256x256]", 16_000_000),
    ("veo-3.1-generate-preview", "video_ms[1080p]", 400_000),
    ("veo-3.1-fast-generate-preview", "video_ms[720p]", 100_000),
    ("veo-3.1-lite-generate-preview", "video_ms[1080p]", 80_000),
    ("wan2.1-t2v-turbo", "video_ms", 36_000),
    ("qwen-image", "images", 35_000_000),
    ("qwen-image-edit", "images", 45_000_000),
    ("rerank-v3.5", "searches", 2_000_000),
    ("jina-reranker-m0", "in_text", 50),
)
_RESOLD: Final = "only resellers name a price; the refusal names the page that sets one"
_ENDED: Final = "OpenAI ended its videos on 2026-09-24; what other servers ask is theirs to say"
_UNSOLD: Final = "its maker sells no API: what a call costs is between a server and its operator"
_ACTIONS: Final = ("imagine", "variation", "upscale", "reroll", "blend", "describe")
WITHOUT: Final[Mapping[str, str]] = MappingProxyType(
    dict.fromkeys(("kling-v1", "jimeng_t2v_v30", "jina-reranker-v3"), _RESOLD)
    | dict.fromkeys(("wan2.6-t2v", "wan2.7-t2v"), _RESOLD)
    | {"sora-2": _ENDED}
    | dict.fromkeys(
        (*(f"mj_{action}" for action in _ACTIONS), "suno_music", "suno_lyrics"), _UNSOLD
    )
)


def rows_of(model: str) -> list[CatalogueRow]:
    exact = [row for row in ROWS if row.model == model]
    return exact or [row for row in ROWS if "*" in row.model and fnmatchcase(model, row.model)]


@pytest.mark.parametrize("model", PRICED)
def test_a_model_of_the_contract_is_priced(model: str) -> None:
    open_ones = [row for row in rows_of(model) if row.valid_to is None]
    assert open_ones
    for row in open_ones:
        cost = price({"in_text": 1000, "out_text": 1000}, PriceVersion.from_stored(row.rates))
        assert isinstance(cost, CostLines)
        assert cost.total_nano > 0


@pytest.mark.parametrize("model", FREE)
def test_free_model_is_priced_at_zero(model: str) -> None:
    (row,) = rows_of(model)
    cost = price({"requests": 1}, PriceVersion.from_stored(row.rates))
    assert isinstance(cost, CostLines)
    assert cost.total_nano == 0


@pytest.mark.parametrize(("model", "meter", "nano"), MEDIA)
def test_pictures_and_videos_with_a_public_price_are_priced(
    model: str, meter: str, nano: int
) -> None:
    """By the image, and by the millisecond."""
    (row,) = rows_of(model)
    cost = price({meter: 1}, PriceVersion.from_stored(row.rates))
    assert isinstance(cost, CostLines)
    assert cost.total_nano == nano


@pytest.mark.parametrize("model", WITHOUT)
def test_unpriced_models_are_listed_with_the_reason(model: str) -> None:
    assert rows_of(model) == []
    assert WITHOUT[model]


def test_own_price_states_its_source_and_date() -> None:
    own = [row for row in ROWS if row.source]
    plain = {row.model for row in own if not row.service_tier}
    assert plain | {"nano-banana-pro"} == own_models()
    for row in own:
        where, _, when = row.source.rpartition(", ")
        assert where
        assert len(when) == len("2026-11-21")
        # What a price version has room for.
        assert len(f"genai-prices + {row.source}") <= 60


def test_the_catalogue_wins_over_a_price_of_our_own() -> None:
    known = CatalogueRow("deepseek-v3", None, "p", ROWS[0].valid_from, None, {"meters": {}})
    assert [row for row in add_own_prices([known]) if row.model == "deepseek-v3"] == [known]


def test_long_qwen_request_costs_more() -> None:
    """Its tiers hold for the whole request."""
    (row,) = rows_of("qwen3-coder-plus")
    version = PriceVersion.from_stored(row.rates)
    costs = [price({"in_text": size, "out_text": 0}, version) for size in (32_000, 32_001, 300_000)]
    totals = [cost.total_nano for cost in costs if isinstance(cost, CostLines)]
    assert totals == [32_000_000, 57_601_800, 1_800_000_000]


def _tokens_at(rates: Mapping[str, Any], percent: int) -> dict[str, Any]:
    """The same rates, those of tokens at a share of themselves."""

    def at(meters: Mapping[str, int]) -> dict[str, Fraction | int]:
        return {
            name: Fraction(rate * percent, 100) if find_meter(name).unit == "token" else rate
            for name, rate in meters.items()
        }

    tiers = [{**tier, "meters": at(tier["meters"])} for tier in rates["tiers"]]
    return {"meters": at(rates["meters"]), "tiers": tiers}


@pytest.mark.parametrize(("tier", "percent"), [("flex", 50), ("priority", 180)])
def test_a_service_tier_of_gemini_is_a_share_of_its_plain_price(tier: str, percent: int) -> None:
    plain = {
        (row.model, row.valid_from, row.hours): row
        for row in ROWS if row.provider == "google" and not row.service_tier
    }  # fmt: skip
    tiers = [row for row in ROWS if row.service_tier == tier and row.source.startswith("ai.google")]
    assert {"gemini-2.5-flash", "gemini-3.1-pro-preview"} <= {row.model for row in tiers}
    for row in tiers:
        base = plain[row.model, row.valid_from, row.hours].rates
        assert row.rates == _tokens_at(base, percent), row.model


def test_fractional_share_is_no_price() -> None:
    """Half of an odd rate would be rounded: the tier has none, and is refused or asked for."""
    for rate, tiers in ((3, set()), (10, {"flex", "priority"}), (2, {"flex"})):
        row = CatalogueRow(
            "gemini-2.5-pro", None, "google", UNDATED, None,
            {"meters": {"in_text": rate, "images": 3}, "tiers": []},
        )  # fmt: skip
        for known, expected in (
            (row, tiers), (row._replace(provider="openai"), set()),
            (row._replace(model="gemini-9"), set()),
            (row._replace(service_tier="flex"), {"flex"}),
            (row._replace(model="mine", alias_of="gemini-2.5-pro"), tiers),
        ):  # fmt: skip
            made = [one for one in add_own_prices([known]) if one.model == known.model]
            assert {one.service_tier for one in made} - {""} == expected
            assert all(one.rates["meters"]["images"] == 3 for one in made)


@pytest.mark.parametrize(
    ("model", "placed"),
    [
        ("claude-opus-4-6", True), ("claude-sonnet-4-6", True), ("claude-opus-4-7", True),
        ("claude-opus-5", True), ("claude-fable-5", True), ("claude-haiku-5-0", True),
        ("claude-opus-4-5", False), ("claude-sonnet-4", False), ("claude-haiku-3-9", False),
        ("claude-3-7-sonnet", False), ("gpt-5", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("provider", ["anthropic", "someone"])
def test_us_inference_costs_more_since_claude_4_6(model: str, provider: str, placed: bool) -> None:
    batch = {"kind": "processing", "value": "batch", "multiplier_ppm": 500_000}
    for name, alias_of in ((model, None), ("mine", model)):
        row = CatalogueRow(
            name, alias_of, provider, UNDATED, None,
            {"meters": {"in_text": 10}, "tiers": [], "conditions": [batch]},
        )  # fmt: skip
        (made,) = [one for one in add_own_prices([row]) if one.model == name]
        first, *more = made.rates["conditions"]
        assert first == batch
        assert [(one["kind"], one["value"], one["multiplier_ppm"]) for one in more] == (
            [("inference_geo", "us", 1_100_000)] if placed and provider == "anthropic" else []
        )
