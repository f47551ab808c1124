"""Conditions that a price depends on: which words are known, plain or for review (P28)."""

import json

import pytest

from dialects.errors.errors import RequestFault
from dialects.gemini import live_usage
from dialects.gemini import usage as gemini
from dialects.json.body import read_body
from dialects.json.camel_case import camel_name
from dialects.json.max_cost import read_amount
from dialects.usage.cache_lifetime import with_lifetime
from dialects.usage.price_conditions import KINDS, TIER, condition_word
from dialects.usage.usage import Quantities


@pytest.mark.parametrize(
    ("kind", "plain", "known", "unknown"),
    [
        (TIER, ["auto", "default", "standard", "on_demand"], ["flex", "priority", "batch"], "warp"),
        ("speed", ["standard"], ["fast"], "slow"),
        ("inference_geo", ["global", "not_available"], ["us"], "eu"),
        ("processing", [""], ["batch"], "flex"),
    ],
)
def test_each_word_is_plain_known_or_unknown(
    kind: str, plain: list[str], known: list[str], unknown: str
) -> None:
    row = KINDS[kind]
    assert {*plain, ""} <= row.plain
    assert {*known} <= row.known
    assert not row.plain & row.known
    assert all(map(row.is_classified, [*plain, *known]))
    assert not row.is_classified(unknown)


def test_words_of_google_are_those_of_all() -> None:
    for word, plain in (("SERVICE_TIER_PRIORITY", "priority"), ("Flex", "flex"), ("", "")):
        assert condition_word(word) == plain


@pytest.mark.parametrize(
    ("members", "tier", "unknown"),
    [
        ({}, None, ()),
        ({"trafficType": "ON_DEMAND"}, "standard", ()),
        ({"trafficType": "ON_DEMAND_PRIORITY"}, "priority", ()),
        ({"trafficType": "ON_DEMAND_FLEX"}, "flex", ()),
        ({"trafficType": "PROVISIONED_THROUGHPUT"}, "standard", ()),
        ({"trafficType": "ON_DEMAND_FLEX", "serviceTier": "priority"}, "priority", ()),
        ({"trafficType": "WARP"}, None, ("trafficType=WARP",)),
    ],
)
def test_traffic_of_vertex_is_a_service_tier(
    members: dict[str, str], tier: str | None, unknown: tuple[str, ...]
) -> None:
    counts = {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7}
    read = gemini.quantities(json.dumps(counts | members).encode())
    assert read.conditions.get(TIER) == tier
    assert read.unknown == unknown


def test_video_is_an_input_but_no_output_of_a_live_session() -> None:
    usage = {
        "promptTokenCount": 10,
        "promptTokensDetails": [
            {"modality": "VIDEO", "tokenCount": 6}, {"modality": "AUDIO", "tokenCount": 3},
        ],
        "responseTokenCount": 5,
        "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}],
        "thoughtsTokenCount": 2,
        "totalTokenCount": 15,
    }  # fmt: skip
    read = live_usage.quantities(json.dumps(usage).encode())
    assert {name: n for name, n in read.meters.items() if n} == {
        "in_text": 1, "in_image": 6, "in_audio": 3, "out_audio": 5, "out_reasoning": 2,
    }  # fmt: skip
    assert (read.flags, read.unknown) == ((), ())
    assert live_usage.quantities(json.dumps(usage | {"totalTokenCount": 17}).encode()).flags == ()
    other = usage | {"totalTokenCount": 16}
    assert live_usage.quantities(json.dumps(other).encode()).flags == ("usage_mismatch",)
    film = usage | {"responseTokensDetails": [{"modality": "VIDEO", "tokenCount": 5}]}
    assert live_usage.quantities(json.dumps(film).encode()).unknown == (
        "responseTokensDetails.modality=VIDEO",
    )


@pytest.mark.parametrize(
    ("ttl", "meter"),
    [
        ("5m", "in_cache_write_5m"),
        ("30m", "in_cache_write_30m"),
        ("1h", "in_cache_write_1h"),
        ("12h", "in_cache_write_12h"),
        (None, "in_cache_write_5m"),
    ],
)
def test_cache_is_charged_for_the_requested_lifetime(ttl: str | None, meter: str) -> None:
    body = read_body(json.dumps({"prompt_cache_options": {"ttl": ttl}}).encode())
    written = Quantities({"in_text": 1, "out_text": 2, "in_cache_write_5m": 3}, ())
    assert with_lifetime(written, body).meters == {"in_text": 1, "out_text": 2, meter: 3}
    assert with_lifetime(written, read_body(b"{}")) == written
    odd = read_body(b'{"prompt_cache_options": {"ttl": "2d"}}')
    assert with_lifetime(written, odd).unknown == ("prompt_cache_options.ttl=2d",)
    doubted = Quantities(written.meters, (), unknown=("speed=warp",))
    both = ("speed=warp", "prompt_cache_options.ttl=2d")
    assert with_lifetime(doubted, odd).unknown == both


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("0", 0),
        ("0.25", 250_000_000),
        ("1.000000001", 1_000_000_001),
        ("1.0000000010", 1_000_000_001),
        ("1.0000000001", None),
        ("-1", None),
        ("1e3", None),
        (".5", None),
        ("١", None),
        ("9223372036.854775807", 2**63 - 1),
        ("9223372036.854775808", None),
    ],
)
def test_maximum_cost_is_an_exact_decimal(text: str, nano: int | None) -> None:
    if nano is not None:
        assert read_amount(text, "max_cost") == nano
        return
    with pytest.raises(RequestFault) as fault:
        read_amount(text, "max_cost")
    assert (fault.value.kind, fault.value.param) == ("invalid_value", "max_cost")


def test_name_in_camel_case() -> None:
    for name, camel in (
        ("generation_config", "generationConfig"), ("top_k_2", "topK2"), ("_a", "_a"), ("aB", "aB"),
    ):  # fmt: skip
        assert camel_name(name) == camel
