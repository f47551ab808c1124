"""Ratios become rates, exactly."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.prices.meters import parse_rate
from extensions.import_hubs.new_api.channel_types import CHANNEL_TYPES, Peer, address_of
from extensions.import_hubs.new_api.ratios import (
    RatioTables,
    completion_ratio,
    priced_name,
    rates_of,
    written_rates,
)
from gateway.providers import provider_named

EMPTY = RatioTables({}, {}, {}, {}, {}, {}, {}, {})
QUOTA_PER_USD = Fraction(500_000)


# What GetCompletionRatio answers of these names, by reading setting/ratio_setting/model_ratio.go of
# New API (2026-10) and relay/billing/ratio/model.go of One API 0.6.11.
@pytest.mark.parametrize(
    ("peer", "name", "ratio"),
    [
        ("new-api", "gpt-4o", Fraction(4)), ("new-api", "gpt-4o-2024-05-13", Fraction(3)),
        ("new-api", "gpt-5-mini", Fraction(8)), ("new-api", "gpt-5.4-nano", Fraction("6.25")),
        ("new-api", "gpt-5.5", Fraction(6)), ("new-api", "gpt-4-all", Fraction(2)),
        ("new-api", "o3-mini", Fraction(4)), ("new-api", "claude-3-opus-20240229", Fraction(5)),
        ("new-api", "anthropic/claude-sonnet-4", Fraction(5)),
        ("new-api", "gemini-2.5-flash", Fraction(25, 3)),
        ("new-api", "gemini-2.5-flash-preview-05-20-nothinking", Fraction(4)),
        ("new-api", "command-r-plus", Fraction(5)), ("new-api", "my-model", Fraction(1)),
        ("one-api", "gpt-3.5-turbo-0613", Fraction(4, 3)), ("one-api", "gpt-4", Fraction(2)),
        ("one-api", "gpt-4-1106-preview", Fraction(3)), ("one-api", "claude-2.1", Fraction(3)),
        ("one-api", "claude-3-haiku", Fraction(5)), ("one-api", "o1-mini", Fraction(4)),
        ("one-api", "deepseek-chat", Fraction(2)), ("one-api", "my-model", Fraction(1)),
    ],
)  # fmt: skip
def test_completion_ratios_that_the_programs_fix(peer: Peer, name: str, ratio: Fraction) -> None:
    assert completion_ratio(peer, name, {}) == ratio


def test_locked_ratio_wins_over_the_database_and_others_do_not() -> None:
    values = {name: Fraction(9) for name in ("claude-3-opus", "gpt-4o", "vendor/claude-3-opus")}
    assert completion_ratio("new-api", "claude-3-opus", values) == 5
    assert completion_ratio("new-api", "gpt-4o", values) == 9
    assert completion_ratio("new-api", "vendor/claude-3-opus", values) == 9
    assert completion_ratio("one-api", "claude-3-opus", values) == 9


def test_price_per_request_wins_over_ratios() -> None:
    tables = EMPTY._replace(model={"m": Fraction(1)}, fixed_price={"m": Fraction("0.04")})
    rates = rates_of("new-api", "m", tables, QUOTA_PER_USD)
    assert rates == {"requests": Fraction("0.04")}
    assert written_rates(rates) == ({"requests": "0.04"}, False)
    assert rates_of("new-api", "unknown", tables, QUOTA_PER_USD) is None


def test_every_ratio_has_its_meter() -> None:
    one, two = {"m": Fraction(1)}, {"m": Fraction(2)}
    tables = RatioTables(one, two, {}, {"m": Fraction("0.1")}, two, two, two, two)
    assert rates_of("new-api", "m", tables, QUOTA_PER_USD) == {
        "in_text": 2, "out_text": 4, "in_cache_read": Fraction("0.2"), "in_cache_write_5m": 4,
        "in_cache_write_1h": Fraction("6.4"), "in_image": 4, "in_audio": 4, "out_audio": 8,
    }  # fmt: skip


@given(st.integers(0, 10**9), st.integers(1, 10**7))
def test_rate_is_the_quota_of_a_million_tokens(ratio: int, per_usd: int) -> None:
    tables = EMPTY._replace(model={"m": Fraction(ratio, 10**6)})
    rates = rates_of("one-api", "m", tables, Fraction(per_usd))
    assert rates is not None
    assert rates["in_text"] * per_usd == Fraction(ratio, 10**6) * 10**6
    written, rounded = written_rates(rates)
    stored = parse_rate("in_text", written["in_text"])
    assert abs(stored - rates["in_text"] * 10**9) <= Fraction(1, 2)
    assert rounded == (stored != rates["in_text"] * 10**9)


def test_models_that_new_api_prices_by_another_name() -> None:
    assert priced_name("gpt-4-gizmo-g-123") == "gpt-4-gizmo-*"
    assert priced_name("gemini-2.5-flash-lite-thinking-512") == "gemini-2.5-flash-lite-thinking-*"
    assert priced_name("gemini-2.5-pro") == "gemini-2.5-pro"


@pytest.mark.parametrize("peer", ["new-api", "one-api"])
def test_each_type_leads_to_an_address_of_its_provider(peer: Peer) -> None:
    for number, kind in CHANNEL_TYPES[peer].items():
        if not kind.provider:
            continue
        provider = provider_named(kind.provider)
        name, base_url = address_of(kind, "" if kind.host else "https://own.example.org")
        provider_named(name).address(base_url or provider.base_url)
        assert kind.host == "" or base_url.startswith(kind.host), number


@pytest.mark.parametrize(
    ("peer", "number", "expected"),
    [
        ("new-api", 27, ("perplexity", "https://api.perplexity.ai/v1")),
        ("new-api", 42, ("mistral", "https://api.mistral.ai/v1")),
        ("one-api", 28, ("mistral", "https://api.mistral.ai/v1")),
        ("one-api", 29, ("groq", "https://api.groq.com/openai/v1")),
        ("one-api", 39, ("together", "https://api.together.xyz/v1")),
    ],
)
def test_types_with_a_provider_of_their_own(
    peer: Peer, number: int, expected: tuple[str, str]
) -> None:
    assert address_of(CHANNEL_TYPES[peer][number], "") == expected


def test_own_address_gets_the_path_of_its_type() -> None:
    types = CHANNEL_TYPES["new-api"]
    assert address_of(types[1], "") == ("openai", "https://api.openai.com/v1")
    assert address_of(types[1], "https://hub.example/") == (
        "openai_compatible", "https://hub.example/v1",
    )  # fmt: skip
    assert address_of(types[24], "")[1].endswith("/v1beta")
    cloudflare = "https://gateway.ai.cloudflare.com/v1/a/b/openai"
    assert address_of(types[1], cloudflare) == ("openai_compatible", cloudflare)
