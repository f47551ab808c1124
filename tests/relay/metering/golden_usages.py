"""Usages in the forms that the vendors document, each with what it comes to at the shipped prices:
tokens and USD per million, which are added up here. What they cost us is another prime for each
rate, so that no charge is a cost."""

from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

GPT, OPUS, SONNET, FLASH, PRO, NOVA = (
    "gpt-5", "claude-opus-5-5", "claude-sonnet-5-5", "gemini-3.8-flash", "gemini-3.1-pro-preview",
    "amazon.nova-lite-v1:0",
)  # fmt: skip


class Golden(NamedTuple):
    """A documented usage. `wire` is the table of its members, `asked` the conditions that its
    request asks for, `lines` what it comes to: (tokens, USD per million)."""

    wire: str
    model: str
    asked: dict[str, str]
    usage: dict[str, Any]
    lines: list[tuple[int, str]]

    @property
    def nano(self) -> int:
        return round(sum((tokens * Fraction(usd) * 1000 for tokens, usd in self.lines), Fraction()))

    @property
    def parts(self) -> int:
        """From how many models, or steps of one, the answer comes."""
        return len(self.usage.get("iterations", [1]))

    @property
    def cost_nano(self) -> int:
        """What it costs us at `cost_rate`."""
        costs = [
            Fraction(tokens * cost_rate(int(Fraction(usd) * 10**9)), 10**6)
            for tokens, usd in self.lines
        ]
        return round(sum(costs, Fraction()))


@cache
def cost_rate(nano: int) -> int:
    """Our cost of what is sold at this rate: the first prime from 7/13 of it on."""
    rate = nano * 7 // 13
    while not _is_prime(rate):
        rate += 1
    return rate


def _is_prime(number: int) -> bool:
    """Fermat's test by three bases, which no number of these passes wrongly."""
    return number > 7 and all(pow(base, number - 1, number) == 1 for base in (2, 3, 5))


def cost_rates(rates: Any) -> Any:
    """A stored price with each rate as it costs us."""
    if isinstance(rates, list):
        return [cost_rates(one) for one in rates]
    if not isinstance(rates, dict):
        return rates
    return {
        name: {meter: cost_rate(nano) for meter, nano in value.items()}
        if name == "meters"
        else cost_rates(value)
        for name, value in rates.items()
    }


def chat(prompt: int, completion: int, **details: Any) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "prompt_tokens": prompt, "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }  # fmt: skip
    return usage | details


def response(count: int, number: int, cached: int = 0, reasoning: int = 0) -> dict[str, Any]:
    return {
        "input_tokens": count, "output_tokens": number, "total_tokens": count + number,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": reasoning},
    }  # fmt: skip


def message(count: int, number: int, **more: Any) -> dict[str, Any]:
    return {
        "input_tokens": count, "output_tokens": number, "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 0, **more,
    }  # fmt: skip


def step(kind: str, count: int, number: int, **more: Any) -> dict[str, Any]:
    return {"type": kind, **message(count, number, **more)}


def converse(count: int, number: int, **more: Any) -> dict[str, Any]:
    total = count + number + sum(more.values())
    return {"inputTokens": count, "outputTokens": number, "totalTokens": total, **more}


def google(prompt: int, count: int, thoughts: int = 0, **more: Any) -> dict[str, Any]:
    tools = more.get("toolUsePromptTokenCount", 0)
    return {
        "promptTokenCount": prompt, "candidatesTokenCount": count, "thoughtsTokenCount": thoughts,
        "totalTokenCount": prompt + count + thoughts + tools, **more,
    }  # fmt: skip


SEARCH = "10000"  # USD per million searches
_ROWS: list[tuple[str, str, dict[str, str], dict[str, Any], list[tuple[int, str]]]] = [
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
    ("converse", NOVA, {}, converse(30, 628), [(30, "0.06"), (628, "0.24")]),
    ("converse", NOVA, {}, converse(100, 20, cacheReadInputTokens=1500),
     [(100, "0.06"), (1500, "0.015"), (20, "0.24")]),
    ("realtime", "gpt-realtime", {}, {
        "total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
        "input_token_details": {
            "text_tokens": 119, "audio_tokens": 13, "image_tokens": 0, "cached_tokens": 64,
            "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0, "image_tokens": 0}},
        "output_token_details": {"text_tokens": 30, "audio_tokens": 91}},
     [(55, "4"), (64, "0.4"), (13, "32"), (30, "16"), (91, "64")]),
]  # fmt: skip
GOLDEN = [Golden(*row) for row in _ROWS]
IDS = [f"{n} {golden.wire} {golden.model}" for n, golden in enumerate(GOLDEN)]
