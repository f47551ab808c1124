"""A list of prices that an operator names, read exactly or not at all."""

from typing import Any

import pytest

from billing.prices.price_list import ListInvalid, read_price_list
from billing.prices.pricing import PriceVersion

TEXT = b"""{
 "sample_spec": {"mode": "one of: chat, embedding", "input_cost_per_token": 0.0},
 "gpt-x": {"mode": "chat", "litellm_provider": "openai", "input_cost_per_token": 2.5e-06,
           "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 1.25e-06,
           "input_cost_per_token_batches": 1.25e-06, "input_cost_per_token_flex": 1e-06,
           "search_context_cost_per_query": {"low": 0.01}, "max_input_tokens": 128000},
 "embed-x": {"mode": "embedding", "input_cost_per_token": 2e-08, "output_cost_per_token": 0.0},
 "long-x": {"mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06,
            "input_cost_per_token_above_200k_tokens": 2e-06},
 "pixel-x": {"mode": "chat", "input_cost_per_token": 1e-06, "input_cost_per_image": 0.01},
 "fine-x": {"mode": "chat", "input_cost_per_token": 1e-16, "output_cost_per_token": 1e-06},
 "free-x": {"mode": "chat"},
 "image-x": {"mode": "image_generation", "input_cost_per_pixel": 1e-08}
}"""


def test_exact_prices_are_converted_and_others_named() -> None:
    price_list = read_price_list(TEXT)
    assert {name: rates["meters"] for name, rates in price_list.rates.items()} == {
        "gpt-x": {
            "in_text": 2_500_000_000,
            "out_text": 10_000_000_000,
            "in_cache_read": 1_250_000_000,
        },
        "embed-x": {"in_text": 20_000_000},
    }
    assert set(price_list.skipped) == {"long-x", "pixel-x", "fine-x", "free-x"}
    assert "above_200k" in price_list.skipped["long-x"]
    for rates in price_list.rates.values():
        PriceVersion.from_stored(rates)


@pytest.mark.parametrize(
    "text", ["", "[]", "nothing", '"x"', "{}", '{"a": 1}', "[" * 100_000, '{"a": {"mode": "chat"']
)
def test_malformed_list_is_rejected(text: str) -> None:
    with pytest.raises(ListInvalid):
        read_price_list(text)


@pytest.mark.parametrize("value", ["-1", "true", '"0.1"', "1e400", "[]", "99999999999"])
def test_invalid_cost_is_named(value: str) -> None:
    text = f'{{"m": {{"mode": "chat", "input_cost_per_token": {value}}}}}'
    price_list: Any = read_price_list(text)
    assert price_list.rates == {}
    assert list(price_list.skipped) == ["m"]


@pytest.mark.parametrize("name", ["a b", "a*", "", "x" * 201, "a\\u0000b\\n"])
def test_impossible_model_name_is_left_out(name: str) -> None:
    text = f'{{"{name}": {{"mode": "chat", "input_cost_per_token": 0.001}}}}'
    assert read_price_list(text).rates == {}


PLACED = b"""{
 "vertex_ai/claude-x": {"mode": "chat", "input_cost_per_token": 1e-06,
   "output_cost_per_token": 5e-06, "regional_endpoint_uplift_multiplier": 1.1},
 "vertex_ai/same-x": {"mode": "chat", "input_cost_per_token": 1e-06,
   "regional_endpoint_uplift_multiplier": 1},
 "vertex_ai/odd-x": {"mode": "chat", "input_cost_per_token": 1e-15,
   "regional_endpoint_uplift_multiplier": 1.05},
 "vertex_ai/no-x": {"mode": "chat", "input_cost_per_token": 1e-06,
   "regional_endpoint_uplift_multiplier": "1.1"},
 "anthropic.claude-x": {"mode": "chat", "input_cost_per_token": 3e-06},
 "bedrock/us-gov-west-1/anthropic.claude-x": {"mode": "chat", "input_cost_per_token": 3.6e-06},
 "bedrock/us-gov-west-1/amazon.alone": {"mode": "chat", "input_cost_per_token": 1e-06},
 "amazon.fine": {"mode": "chat", "input_cost_per_token": 1e-17},
 "bedrock/eu-west-1/amazon.fine": {"mode": "chat", "input_cost_per_token": 1e-06},
 "bedrock/us-east-1/1-month-commitment/anthropic.claude-x": {"mode": "chat",
   "input_cost_per_second": 0.01}
}"""


def test_regional_prices_are_converted_exactly_or_named() -> None:
    read = read_price_list(PLACED)
    assert {key: rates["meters"] for key, rates in read.regions.items()} == {
        ("vertex_ai/claude-x", "regional"): {"in_text": 1_100_000_000, "out_text": 5_500_000_000},
        ("anthropic.claude-x", "us-gov-west-1"): {"in_text": 3_600_000_000},
    }
    assert {name: rates["meters"]["in_text"] for name, rates in read.rates.items()} == {
        "vertex_ai/claude-x": 1_000_000_000,
        "vertex_ai/same-x": 1_000_000_000,
        "anthropic.claude-x": 3_000_000_000,
        "bedrock/us-gov-west-1/amazon.alone": 1_000_000_000,
    }
    assert set(read.skipped) == {
        "vertex_ai/odd-x", "vertex_ai/no-x", "amazon.fine", "bedrock/eu-west-1/amazon.fine",
        "bedrock/us-east-1/1-month-commitment/anthropic.claude-x",
    }  # fmt: skip
