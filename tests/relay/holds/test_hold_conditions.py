"""P28, I13: whatever conditions and steps a request can bring about, it never costs more than was
held for it."""

import itertools
import json
import random
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from billing.prices.lookup import Price, PriceList, PriceRow
from billing.prices.multipliers import Multiplier, multiplier_for
from billing.prices.pricing import PPM, PriceVersion
from dialects.errors.errors import RequestFault
from dialects.json.body import read_body
from dialects.usage.cache_lifetime import UNREPORTED, with_lifetime
from dialects.usage.usage import Quantities, UsagePart
from lib.clock import now
from relay.counting.own_count import UsageEvidence
from relay.hold_sizes.estimate import HoldEstimate, Step, Unpriced
from relay.metering.usage_meter import OtherPrices, TierPrices, count
from tests.support.shipped import shipped_rows

TEXT_BYTES, CAP = 300_000, 2_000
ASKED: Mapping[str, tuple[str, ...]] = {
    "speed": ("", "fast"), "inference_geo": ("", "us"),
}  # fmt: skip
TIERS = ("", "flex", "priority", "fast")
SUBSCRIBED = (
    Multiplier("claude-opus-*", 1_070_001), Multiplier("*-mini*", 333_333),
    Multiplier("gpt-*", 9_000_000),
)  # fmt: skip
PLAIN = {"speed": "standard", "inference_geo": "global"}


def prices() -> PriceList:
    at = now()
    rows = [
        row
        for row in shipped_rows()
        if row.valid_from <= at
        and (row.valid_to is None or at < row.valid_to)
        and not row.hours
        and row.model.startswith(("claude-", "gpt-", "gemini-"))
        and "*" not in row.model
    ]
    return PriceList(
        PriceRow(
            number, row.model, "charge", "", row.service_tier, "", 0, None, row.rates,
            "genai-prices of a test",
        )
        for number, row in enumerate(rows)
    )  # fmt: skip


def estimate(price: Price, steps: tuple[Step, ...] = (), max_cost_nano: int | None = None) -> int:
    facts = SimpleNamespace(
        output_cap=CAP, text_bytes=TEXT_BYTES, choices=1, media={}, audio_output=False, model="m"
    )
    return (
        HoldEstimate(
            cast(Any, facts), price, [], assumed_cap=CAP, max_cost_nano=max_cost_nano, searches=2,
            steps=steps,
        )
        .first()
        .hold_nano
    )  # fmt: skip


def split(dice: random.Random, total: int, meters: tuple[str, ...]) -> dict[str, int]:
    """A total on some meters."""
    cuts = sorted(dice.randrange(total + 1) for _ in meters[1:])
    ends = [0, *cuts, total]
    return {
        meter: end - begin
        for meter, begin, end in zip(meters, ends, ends[1:], strict=False)
    }  # fmt: skip


def used(dice: random.Random, price: Price, size: int) -> dict[str, int]:
    inputs = (
        "in_text", "in_cache_read", "in_cache_write_5m", "in_cache_write_30m", "in_cache_write_1h",
    )  # fmt: skip
    meters = split(dice, size, inputs) | split(dice, CAP, ("out_text", "out_reasoning"))
    if "searches" in price.version.rates:
        meters["searches"] = 2
    return {name: n for name, n in meters.items() if n or name in ("in_text", "out_text")}


def test_hold_covers_charge_under_every_combination() -> None:
    """Also where a subscription multiplies the prices of some models."""
    dice, listed = random.Random(28), prices()
    seen = held_back = 0
    for name in listed.names:
        result = listed.find([name], 1.0)
        if result is None or not {"in_text", "out_text"} <= result.version.rates.keys():
            continue
        ppm = multiplier_for(SUBSCRIBED, name, PPM)
        for tier, *words in itertools.product(TIERS, *ASKED.values()):
            asked = {kind: word for kind, word in zip(ASKED, words, strict=True) if word}
            price = result.multiplied(ppm).for_request(tier).asking(asked)
            hold_nano = estimate(price)
            for told_tier, *granted in itertools.product(
                ("", "default", tier, "priority", "hyper"),
                *[(word, "plain", None) for word in words],
            ):
                conditions = {
                    kind: PLAIN[kind] if word in ("plain", "") else word
                    for kind, word in zip(ASKED, granted, strict=True)
                    if word is not None
                }
                by_tier = TierPrices(price, None)
                by_tier.set_reported_tier(told_tier or "")
                size = dice.choice((1, 1_000, 199_999, 200_001, TEXT_BYTES))
                quantities = Quantities(used(dice, price, size), (), conditions)
                bill = count(
                    UsageEvidence(40, quantities, b"{}"), by_tier.price, hold_nano, "measured",
                    asked=asked, unknown=by_tier.unknown,
                )  # fmt: skip
                assert bill.excess_nano == 0, (name, tier, asked, quantities)
                assert "above_hold" not in bill.flags
                seen += 1
                held_back += bill.basis == "held"
    assert seen > 5_000
    assert 0 < held_back < seen


def test_a_request_may_cost_its_maximum_and_no_more() -> None:
    price = prices().find(["claude-opus-5-5"], 1.0)
    assert price is not None
    nano = estimate(price)
    assert estimate(price, max_cost_nano=nano) == nano
    with pytest.raises(RequestFault) as fault:
        estimate(price, max_cost_nano=nano - 1)
    assert fault.value.kind == "max_cost_exceeded"
    # A step whose cost no 64 bits hold has no price.
    beyond = PriceVersion.from_stored({"meters": {"in_text": 2**62, "out_text": 2**62}})
    assert estimate(price, (Step(beyond, output_tokens=10**7),)) == nano


def test_hold_covers_the_steps_around_the_answer() -> None:
    """Compaction, a fallback and advice, each as large as it may be."""
    dice, listed = random.Random(29), prices()
    own, other = (listed.find([name], 1.0) for name in ("claude-opus-5-5", "claude-opus-4-8"))
    assert own is not None
    assert other is not None
    output_max = 32_000
    cases: tuple[tuple[dict[str, str], int], ...] = (
        ({}, 333_333), ({"inference_geo": "us"}, PPM), ({"speed": "fast"}, 1_070_001),
    )  # fmt: skip
    for asked, ppm in cases:
        price = own.multiplied(ppm).asking(asked)
        theirs = other.multiplied(ppm)
        dear = theirs.asking(asked)
        hold_nano = estimate(
            price,
            (
                Step(price.bound, output_tokens=output_max),
                Step(price.bound, output_tokens=0, summary_tokens=output_max),
                Step(dear.bound),
                Step(dear.bound, 2, output_max),
            ),
        )
        for _ in range(300):
            parts = (
                UsagePart("", split(dice, TEXT_BYTES, ("in_text", "in_cache_read"))
                          | {"out_text": output_max}),
                UsagePart("", {"in_text": TEXT_BYTES + output_max, "out_text": CAP}),
                UsagePart("other", {"in_text": TEXT_BYTES, "out_text": CAP}),
                UsagePart("other", {"in_text": TEXT_BYTES + CAP, "out_text": output_max}),
                UsagePart("other", {"in_text": TEXT_BYTES + CAP, "out_text": output_max}),
            )  # fmt: skip
            quantities = Quantities({"in_text": 1, "out_text": 1}, (), {}, parts)
            bill = count(
                UsageEvidence(40, quantities, b"{}"), price, hold_nano, "measured", asked=asked,
                others=OtherPrices(lambda _, found=theirs: found, lambda _: None),  # type: ignore[misc]
            )  # fmt: skip
            assert bill.basis == "measured"
            assert bill.excess_nano == 0


def test_hold_covers_every_lifetime_of_a_cache_write() -> None:
    """The request says for how long, and the usage need not (`prompt_cache_options.ttl`)."""
    meters = ("in_cache_write_5m", "in_cache_write_30m", "in_cache_write_1h", "in_cache_write_12h")
    for dear in meters:
        rates = {"in_text": 10_000_000, "out_text": 20_000_000, "in_cache_write_12h": 1}
        version = PriceVersion.from_stored({"meters": rates | {dear: 90_000_000}})
        price = Price(1, 0.0, None, version)
        hold_nano = estimate(price)
        for asked in ("5m", "30m", "1h", "12h"):
            body = read_body(json.dumps({"prompt_cache_options": {"ttl": asked}}).encode())
            quantities = Quantities({"in_text": 0, UNREPORTED: TEXT_BYTES, "out_text": CAP}, ())
            quantities = with_lifetime(quantities, body)
            assert quantities.meters[f"in_cache_write_{asked}"] == TEXT_BYTES
            bill = count(UsageEvidence(40, quantities, b"{}"), price, hold_nano, "measured")
            assert (bill.basis, bill.excess_nano) == ("measured", 0)


def test_exclusive_conditions_have_no_joint_price() -> None:
    stored = {
        "meters": {"in_text": 10, "out_text": 10},
        "conditions": [
            {"kind": "speed", "value": "fast", "meters": {"in_text": 20}},
            {"kind": "processing", "value": "batch", "meters": {"in_text": 5}},
        ],
    }
    version = PriceVersion.from_stored(json.loads(json.dumps(stored)))
    assert version.under({"speed": "fast", "processing": "batch"}) is None


@pytest.mark.parametrize("meter", ["in_text", "out_text"])
def test_price_of_one_side_only_prices_no_request(meter: str) -> None:
    price = SimpleNamespace(bound=PriceVersion({meter: 1}))
    with pytest.raises(Unpriced):
        estimate(cast(Any, price))
