"""P28: of 10,000 usages with members added, renamed, nested and of odd types, each that tells
something unknown is under review, and none is charged as if it were known."""

import copy
import random
from typing import Any

import msgspec
import pytest

from billing.prices.lookup import Price
from billing.prices.pricing import PriceVersion
from dialects.anthropic import usage as anthropic
from dialects.converse import usage as converse
from dialects.gemini import live_usage
from dialects.gemini import usage as gemini
from dialects.interactions import usage as interactions
from dialects.openai import unary
from dialects.openai import usage as openai
from dialects.realtime import live, realtime
from dialects.responses import usage as responses
from dialects.usage.session_time import session_minutes
from dialects.usage.usage import Quantities
from dialects.usage.usage_members import TABLES
from relay.counting.own_count import UsageEvidence
from relay.metering.usage_meter import count

ROWS = 10_000
HOLD = 10**12
RATES = {
    "in_text": 3_000_000, "out_text": 9_000_000, "in_audio": 4_000_000, "out_audio": 5_000_000,
    "in_image": 4_000_000, "out_image": 6_000_000, "searches": 10**13, "code_sessions": 10**13,
    "session_minutes": 50_000,
    "in_audio_cached": 1_000_000, "in_image_cached": 1_000_000, "in_cache_write_12h": 8_000_000,
}  # fmt: skip
PRICE = Price(1, 0.0, None, PriceVersion.from_stored({"meters": RATES}))


def session_quantities(raw: bytes) -> Quantities:
    """What a Live session reads from the object of its provider's total."""
    reading = live.read_time(msgspec.Raw(raw))
    meters = {} if reading.ms is None else {"session_minutes": session_minutes(reading.ms)}
    return Quantities(meters, reading.flags, unknown=reading.unknown, wire="live")


HONEST: dict[str, tuple[Any, dict[str, Any]]] = {
    "chat": (
        openai.quantities,
        {
            "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 10, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 7},
        },
    ),
    "responses": (
        responses.quantities,
        {
            "input_tokens": 100, "output_tokens": 50, "total_tokens": 150,
            "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 5},
            "output_tokens_details": {"reasoning_tokens": 7},
        },
    ),
    "anthropic": (
        anthropic.quantities,
        {
            "input_tokens": 100, "output_tokens": 50, "cache_read_input_tokens": 3,
            "cache_creation_input_tokens": 4, "service_tier": "standard", "speed": "standard",
            "inference_geo": "global", "server_tool_use": {"web_search_requests": 1},
            "iterations": [
                {"type": "compaction", "input_tokens": 9, "output_tokens": 2},
                {"type": "message", "input_tokens": 100, "output_tokens": 50},
            ],
            "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 0},
        },
    ),
    "gemini": (
        gemini.quantities,
        {
            "promptTokenCount": 100, "candidatesTokenCount": 50, "totalTokenCount": 150,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 100}],
            "serviceTier": "standard",
        },
    ),
    "interactions": (
        interactions.quantities,
        {
            "total_input_tokens": 100, "total_output_tokens": 50, "total_tokens": 157,
            "total_thought_tokens": 7, "total_cached_tokens": 10, "total_tool_use_tokens": 0,
            "input_tokens_by_modality": [{"modality": "text", "tokens": 100}],
            "grounding_tool_count": [{"type": "google_search", "count": 1}],
        },
    ),
    "converse": (
        converse.quantities,
        {
            "inputTokens": 100, "outputTokens": 50, "totalTokens": 160,
            "cacheReadInputTokens": 3, "cacheWriteInputTokens": 7,
            "cacheDetails": [
                {"ttl": "1h", "inputTokens": 4}, {"ttl": "5m", "inputTokens": 3},
            ],
            "serviceTier": "default",
        },
    ),
    "realtime": (
        realtime.quantities,
        {
            "input_tokens": 100, "output_tokens": 50, "total_tokens": 150,
            "input_token_details": {"text_tokens": 60, "audio_tokens": 40, "cached_tokens": 0},
            "output_token_details": {"text_tokens": 50, "audio_tokens": 0},
        },
    ),
    "gemini_live": (
        live_usage.quantities,
        {
            "promptTokenCount": 100, "responseTokenCount": 50, "totalTokenCount": 150,
            "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 100}],
            "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 50}],
        },
    ),
    "live": (session_quantities, {"seconds": 90}),
    "unary": (unary.input_quantities, {"prompt_tokens": 100, "total_tokens": 100}),
}  # fmt: skip
ODD: tuple[Any, ...] = (
    None,
    True,
    3,
    2.5,
    "7",
    "",
    [],
    {},
    [1],
    {"tokens": 5},
    [{"tokens": 5}],
    -1,
    10**30,
)
CONDITIONS = ("speed", "service_tier", "inference_geo", "serviceTier")


def objects_in(value: Any) -> list[dict[str, Any]]:
    """The object, and all that are in it."""
    if isinstance(value, list):
        return [one_objects_value for item in value for one_objects_value in objects_in(item)]
    if not isinstance(value, dict):
        return []
    return [
        value,
        *(one_objects_value for inner in value.values() for one_objects_value in objects_in(inner)),
    ]


def spoil(dice: random.Random, usage: dict[str, Any]) -> str:
    """Change one thing so that it tells something unknown; what was done."""
    place = dice.choice(objects_in(usage))
    name = "".join(dice.choice("abcxyz_XYZ€ \x00\"'") for _ in range(dice.randrange(1, 12)))
    how = dice.choice(("add", "rename", "nest", "type", "value"))
    if how == "add":
        place[f"x{name}"] = dice.choice(ODD)
    elif how == "rename":
        old = dice.choice(sorted(place))
        place[f"{old}_x{name}"] = place.pop(old)
    elif how == "nest":
        old = dice.choice(sorted(place))
        place[old] = {f"x{name}": place[old]}
    elif how == "type":
        # Whatever is an object or a list in an honest usage is told as a number or a text.
        nested = [one for one in sorted(usage) if isinstance(usage[one], dict | list)]
        if not nested:
            return spoil(dice, usage)
        usage[dice.choice(nested)] = dice.choice((3, "7", True, 2.5))
    else:
        messages = [one for one in CONDITIONS if one in usage]
        if not messages:
            return spoil(dice, usage)
        usage[dice.choice(messages)] = dice.choice((f"x{name}", 5, {"a": 1}, [1]))
    return how


@pytest.mark.parametrize("wire", HONEST)
def test_an_honest_usage_is_charged(wire: str) -> None:
    read, usage = HONEST[wire]
    bill = bill_of(read, usage)
    assert (bill.basis, bill.unknown) == ("measured", ())
    assert bill.charge_nano > 0


def test_ten_thousand_fuzzed_usages_are_never_charged_as_known() -> None:
    dice = random.Random(20261124)
    wires = list(HONEST)
    for _ in range(ROWS):
        wire = dice.choice(wires)
        read, honest = HONEST[wire]
        usage = copy.deepcopy(honest)
        how = spoil(dice, usage)
        bill = bill_of(read, usage)
        assert "quarantine" in bill.flags, (wire, how, usage)
        assert bill.basis in ("held", "estimated"), (wire, how, usage)
        assert bill.basis == "estimated" or bill.charge_nano == 0
        if how in ("add", "rename", "value"):
            assert bill.unknown, (wire, how, usage)
            assert (bill.basis, bill.charge_nano) == ("held", 0)
        # What is kept of it is text, short, and of no value that was told.
        assert len(bill.pricing_text("p") or "") < 2_000


def bill_of(read: Any, usage: dict[str, Any]) -> Any:
    raw = msgspec.json.encode(usage)
    return count(UsageEvidence(40, read(raw), raw), PRICE, HOLD, "measured")


def test_an_unpriced_member_is_reviewed_only_with_a_count() -> None:
    read, usage = HONEST["chat"]
    assert not bill_of(read, usage | {"num_server_side_tools_used": 0}).unknown
    assert bill_of(read, usage | {"num_server_side_tools_used": 1}).unknown == (
        "num_server_side_tools_used",
    )


def test_every_table_has_a_reader() -> None:
    assert set(HONEST) == set(TABLES)
