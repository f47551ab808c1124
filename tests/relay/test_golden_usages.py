"""P28: usages in the forms that the vendors document, each charged to the nano at the shipped
prices. What is expected is written as tokens and USD per million, and added up here."""

import functools
import json
from fractions import Fraction
from typing import Any

import pytest
from genai_prices import data

from billing.rules.catalogue import convert_catalogue
from billing.rules.catalogue_additions import with_own_prices
from dialects import realtime
from dialects.anthropic import usage as anthropic
from dialects.gemini import usage as gemini
from dialects.openai import usage as openai
from dialects.responses import usage as responses
from gateway.price_lookup import Price, PriceList, PriceRow
from lib.clock import now
from relay.own_count import UsageEvidence
from relay.usage_meter import OtherPrices, TierPrices, count

READERS: dict[str, Any] = {
    "chat": openai.quantities, "responses": responses.quantities,
    "anthropic": anthropic.quantities, "gemini": gemini.quantities,
    "realtime": realtime.quantities,
}  # fmt: skip
GPT, OPUS, SONNET, FLASH, PRO = (
    "gpt-5", "claude-opus-5-5", "claude-sonnet-5-5", "gemini-3.8-flash", "gemini-3.1-pro-preview",
)  # fmt: skip


@functools.cache
def prices() -> PriceList:
    at = now()
    rows = [
        row
        for row in with_own_prices(convert_catalogue(data.providers).rows)
        if row.valid_from <= at and (row.valid_to is None or at < row.valid_to)
    ]
    return PriceList(
        PriceRow(n, row.model, "charge", "", row.service_tier, row.hours, 0, None, row.rates,
                 "genai-prices of a test")
        for n, row in enumerate(rows)
    )  # fmt: skip


def find(name: str) -> Price:
    found = prices().find(prices().names_for(name), 43_200.0)
    assert found is not None
    return found


def chat(prompt: int, completion: int, **details: Any) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "prompt_tokens": prompt, "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }  # fmt: skip
    return usage | details


def response(given: int, made: int, cached: int = 0, reasoning: int = 0) -> dict[str, Any]:
    return {
        "input_tokens": given, "output_tokens": made, "total_tokens": given + made,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": reasoning},
    }  # fmt: skip


def message(given: int, made: int, **more: Any) -> dict[str, Any]:
    return {
        "input_tokens": given, "output_tokens": made, "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 0, **more,
    }  # fmt: skip


def step(kind: str, given: int, made: int, **more: Any) -> dict[str, Any]:
    return {"type": kind, **message(given, made, **more)}


def google(prompt: int, said: int, thoughts: int = 0, **more: Any) -> dict[str, Any]:
    tools = more.get("toolUsePromptTokenCount", 0)
    return {
        "promptTokenCount": prompt, "candidatesTokenCount": said, "thoughtsTokenCount": thoughts,
        "totalTokenCount": prompt + said + thoughts + tools, **more,
    }  # fmt: skip


SEARCH = "10000"  # USD per million searches
# wire, model, what the request asks for, usage, [(tokens, USD per million), …]
GOLDEN: list[tuple[str, str, dict[str, str], dict[str, Any], list[tuple[int, str]]]] = [
    ("chat", GPT, {}, chat(19, 10), [(19, "1.25"), (10, "10")]),
    ("chat", GPT, {}, chat(2006, 300, prompt_tokens_details={"cached_tokens": 1920}),
     [(86, "1.25"), (1920, "0.125"), (300, "10")]),
    ("chat", GPT, {}, chat(100, 500, completion_tokens_details={"reasoning_tokens": 400}),
     [(100, "1.25"), (500, "10")]),
    ("chat", GPT, {}, chat(100, 50, completion_tokens_details={
        "accepted_prediction_tokens": 20, "rejected_prediction_tokens": 5}),
     [(100, "1.25"), (50, "10")]),
    ("chat", GPT, {"service_tier": "flex"}, chat(1000, 100), [(1000, "0.625"), (100, "5")]),
    ("chat", GPT, {"service_tier": "priority"}, chat(1000, 100), [(1000, "2.5"), (100, "20")]),
    ("chat", GPT, {"service_tier": "fast"}, chat(1000, 100), [(1000, "2.5"), (100, "20")]),
    ("chat", GPT, {}, chat(0, 0), []),
    ("chat", "gpt-4o", {}, chat(1117, 46, prompt_tokens_details={"cached_tokens": 1024}),
     [(93, "2.5"), (1024, "1.25"), (46, "10")]),
    ("chat", "deepseek-v3", {}, chat(1000, 200, prompt_cache_hit_tokens=600,
                                     prompt_cache_miss_tokens=400),
     [(400, "0.27"), (600, "0.07"), (200, "1.10")]),
    ("responses", GPT, {}, response(36, 87), [(36, "1.25"), (87, "10")]),
    ("responses", GPT, {}, response(328, 52, cached=256), [(72, "1.25"), (256, "0.125"),
                                                           (52, "10")]),
    ("responses", GPT, {}, response(81, 1035, reasoning=832), [(81, "1.25"), (1035, "10")]),
    ("responses", GPT, {"service_tier": "flex"}, response(100, 10), [(100, "0.625"), (10, "5")]),
    ("responses", GPT, {"service_tier": "priority"}, response(100, 10), [(100, "2.5"),
                                                                        (10, "20")]),
    ("anthropic", OPUS, {}, message(25, 15), [(25, "4"), (15, "20")]),
    ("anthropic", OPUS, {}, message(2095, 503, cache_creation_input_tokens=2051,
                                    cache_read_input_tokens=2051),
     [(2095, "4"), (2051, "5"), (2051, "0.2"), (503, "20")]),
    ("anthropic", OPUS, {}, message(2048, 503, cache_creation_input_tokens=556,
                                    cache_read_input_tokens=1800,
                                    cache_creation={"ephemeral_5m_input_tokens": 456,
                                                    "ephemeral_1h_input_tokens": 100}),
     [(2048, "4"), (1800, "0.2"), (456, "5"), (100, "8"), (503, "20")]),
    ("anthropic", OPUS, {}, message(105, 6039, server_tool_use={"web_search_requests": 1}),
     [(105, "4"), (6039, "20"), (1, SEARCH)]),
    ("anthropic", OPUS, {}, message(25039, 931, server_tool_use={"web_fetch_requests": 1}),
     [(25039, "4"), (931, "20")]),
    ("anthropic", OPUS, {"speed": "fast"}, message(10, 1000, speed="fast"),
     [(10, "8"), (1000, "40")]),
    ("anthropic", OPUS, {"speed": "fast"}, message(10, 1000, speed="standard"),
     [(10, "4"), (1000, "20")]),
    ("anthropic", OPUS, {"inference_geo": "us"}, message(10, 1000, inference_geo="us"),
     [(10, "4.4"), (1000, "22")]),
    ("anthropic", OPUS, {}, message(10, 1000, inference_geo="not_available"),
     [(10, "4"), (1000, "20")]),
    ("anthropic", OPUS, {"speed": "fast", "inference_geo": "us"},
     message(10, 1000, speed="fast", inference_geo="us"), [(10, "8.8"), (1000, "44")]),
    ("anthropic", SONNET, {"inference_geo": "us"}, message(25, 150, inference_geo="us"),
     [(25, "2.2"), (150, "11")]),
    ("anthropic", OPUS, {}, message(25, 15, service_tier="priority"), [(25, "4"), (15, "20")]),
    ("anthropic", OPUS, {}, message(100, 10, service_tier="batch"), [(100, "2"), (10, "10")]),
    ("anthropic", OPUS, {}, message(23_000, 1_000, iterations=[
        step("compaction", 180_000, 3_500), step("message", 23_000, 1_000)]),
     [(203_000, "4"), (4_500, "20")]),
    ("anthropic", OPUS, {}, message(412, 89, iterations=[
        step("message", 412, 89), step("advisor_message", 823, 1612, model="claude-opus-4-8")]),
     [(412, "4"), (89, "20"), (823, "5"), (1612, "25")]),
    ("anthropic", "claude-fable-5", {}, message(412, 264, iterations=[
        step("message", 408, 0, model="claude-fable-5"),
        step("fallback_message", 412, 264, model="claude-opus-5")]),
     [(412, "5"), (264, "25")]),
    ("anthropic", "claude-fable-5", {}, message(412, 264, iterations=[
        step("message", 408, 7, model="claude-fable-5"),
        step("fallback_message", 412, 264, model="claude-opus-5")]),
     [(408, "10"), (7, "50"), (412, "5"), (264, "25")]),
    ("gemini", FLASH, {}, google(4, 715), [(4, "0.75"), (715, "3.75")]),
    ("gemini", FLASH, {}, google(10, 100, 1000), [(10, "0.75"), (1100, "3.75")]),
    ("gemini", FLASH, {}, google(1000, 50, cachedContentTokenCount=900),
     [(100, "0.75"), (900, "0.075"), (50, "3.75")]),
    ("gemini", FLASH, {}, google(100, 50, toolUsePromptTokenCount=40),
     [(140, "0.75"), (50, "3.75")]),
    ("gemini", FLASH, {"service_tier": "flex"}, google(100_000, 1_000, serviceTier="flex"),
     [(100_000, "0.375"), (1_000, "1.875")]),
    ("gemini", FLASH, {"service_tier": "priority"},
     google(100_000, 1_000, serviceTier="priority"), [(100_000, "1.35"), (1_000, "6.75")]),
    ("gemini", FLASH, {"service_tier": "priority"},
     google(100_000, 1_000, trafficType="ON_DEMAND"), [(100_000, "0.75"), (1_000, "3.75")]),
    ("gemini", PRO, {}, google(200_001, 10), [(200_001, "4"), (10, "18")]),
    ("gemini", PRO, {"service_tier": "flex"}, google(200_001, 10, serviceTier="flex"),
     [(200_001, "2"), (10, "9")]),
    ("realtime", "gpt-realtime", {}, {
        "total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
        "input_token_details": {
            "text_tokens": 119, "audio_tokens": 13, "image_tokens": 0, "cached_tokens": 64,
            "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0, "image_tokens": 0}},
        "output_token_details": {"text_tokens": 30, "audio_tokens": 91}},
     [(55, "4"), (64, "0.4"), (13, "32"), (30, "16"), (91, "64")]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wire", "model", "asked", "usage", "expected"),
    GOLDEN,
    ids=[f"{n} {row[0]} {row[1]}" for n, row in enumerate(GOLDEN)],
)
def test_a_documented_usage_is_exact_to_the_nano(
    wire: str,
    model: str,
    asked: dict[str, str],
    usage: dict[str, Any],
    expected: list[tuple[int, str]],
) -> None:
    rest = {kind: word for kind, word in asked.items() if kind != "service_tier"}
    price = find(model).for_request(asked.get("service_tier", "")).asking(rest)
    told = READERS[wire](json.dumps(usage).encode())
    by_tier = TierPrices(price, None)
    by_tier.hear(told.conditions.get("service_tier", ""))
    bill = count(
        UsageEvidence(40, told, b"{}"), by_tier.price, 10**12, "measured",
        asked=rest, unknown=by_tier.unknown,
        others=OtherPrices(find, lambda _: None), names=(model,),
    )  # fmt: skip
    assert bill.unknown == ()
    assert bill.basis == "measured"
    exact = sum((tokens * Fraction(usd) * 1000 for tokens, usd in expected), Fraction())
    assert bill.charge_nano == round(exact)


def test_there_are_forty_of_them() -> None:
    assert len(GOLDEN) >= 40
    assert {row[0] for row in GOLDEN} == set(READERS)
