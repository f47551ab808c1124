"""The conditions of a price version: how they are read, written, changed and multiplied (P28)."""

from typing import Any

import pytest

from billing.prices.meters import format_rate, parse_rate
from billing.prices.pricing import (
    CostLines,
    PriceInvalid,
    PriceVersion,
    price,
    price_parts,
    stored_parts,
    total_of,
)
from billing.prices.rate_changes import rate_changes
from billing.prices.written_conditions import read_conditions, write_conditions

FAST: dict[str, Any] = {
    "kind": "speed", "value": "fast", "meters": {"in_text": 20, "out_text": 40},
    "tiers": [{"input_over": 100, "mode": "whole", "meters": {"in_text": 30}}],
}  # fmt: skip
US: dict[str, Any] = {
    "kind": "inference_geo", "value": "us", "multiplier_ppm": 1_100_000, "source": "a page",
    "date": "2026-11-24",
}  # fmt: skip
STORED: dict[str, Any] = {
    "meters": {"in_text": 10, "out_text": 20, "searches": 1_000_000},
    "tiers": [{"input_over": 200, "mode": "whole", "meters": {"in_text": 15}}],
    "conditions": [FAST, US],
}
VERSION = PriceVersion.from_stored(STORED)


def total(version: PriceVersion | None, **used: int) -> int:
    assert version is not None
    nano = total_of(used, version)
    assert isinstance(nano, int)
    return nano


def test_a_condition_replaces_rates_and_tiers() -> None:
    fast = VERSION.under({"speed": "fast"})
    assert total(fast, in_text=100, out_text=1_000_000) == 40
    # Its own tier, not that of the version.
    assert total(fast, in_text=10**6, out_text=0) == 30
    assert total(VERSION.under({"speed": "standard"}), in_text=10**6, out_text=0) == 15


def test_multiplier_applies_to_tokens_only_and_is_rounded_once() -> None:
    us = VERSION.under({"inference_geo": "us"})
    assert total(us, in_text=100, out_text=5_000_000, searches=2) == 110 + 2
    both = VERSION.under({"inference_geo": "us", "speed": "fast"})
    assert total(both, in_text=100, out_text=5_000_000) == 220
    assert both is not None
    cost = price({"in_text": 1, "out_text": 1}, both.multiplied(333_333))
    assert isinstance(cost, CostLines)
    assert cost.total_nano == round(sum(line.amount_nano for line in cost.lines))


def test_parts_are_added_exactly() -> None:
    half = PriceVersion.from_stored({"meters": {"in_text": 500_000}})
    cost = price_parts([({"in_text": 1}, half)] * 2)
    assert isinstance(cost, CostLines)
    # Two halves are one; rounded one by one, half-even, they were none.
    assert cost.total_nano == 1


def test_a_record_gives_its_parts_again() -> None:
    other = {"meters": {"in_text": 7}, "tiers": []}
    pricing = {
        "parts": [
            {"meters": {"in_text": 3}, "conditions": {"speed": "fast"}},
            {"meters": {"in_text": 5}, "model": "m", "rates": other, "token_ppm": 2_000_000},
        ]
    }
    own, of_other = stored_parts(pricing, {"in_text": 8}, VERSION)
    assert own.version.rates["in_text"] == 20
    assert (of_other.version.rates["in_text"], of_other.version.token_ppm) == (7, 2_000_000)
    assert [part.meters for part in stored_parts(None, {"in_text": 8}, VERSION)] == [{"in_text": 8}]


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ({"kind": "mood", "value": "good", "multiplier_ppm": 1}, "kind: expected one of"),
        ({"kind": "service_tier", "value": "flex", "multiplier_ppm": 1}, "kind: expected one of"),
        ({"kind": "speed", "value": "standard", "multiplier_ppm": 1}, "with a price of its own"),
        ({"kind": "speed", "value": "FAST", "multiplier_ppm": 1}, "with a price of its own"),
        ({"kind": "speed", "value": "fast"}, "either meters or multiplier_ppm"),
        ({"kind": "speed", "value": "fast", "meters": {}, "multiplier_ppm": 1}, "either meters"),
        ({"kind": "speed", "value": "fast", "multiplier_ppm": 1, "tiers": []}, "has no tiers"),
        ({"kind": "speed", "value": "fast", "multiplier_ppm": 1.5}, "expected an integer"),
        ({"kind": "speed", "value": "fast", "multiplier_ppm": 1, "more": 1}, "unknown field"),
        ({"kind": "speed", "value": "fast", "meters": {}, "source": 5}, "expected a text"),
    ],
)
def test_a_condition_that_cannot_be_used_is_refused(condition: dict[str, Any], says: str) -> None:
    with pytest.raises(PriceInvalid, match=says):
        PriceVersion.from_stored({"meters": {"in_text": 1}, "conditions": [condition]})


def test_the_same_condition_is_refused_twice() -> None:
    with pytest.raises(PriceInvalid, match="is there already"):
        PriceVersion.from_stored({"meters": {"in_text": 1}, "conditions": [US, US]})


def test_conditions_are_read_back_as_they_are_written() -> None:
    written = write_conditions(
        STORED, lambda rates: {name: format_rate(name, rate) for name, rate in rates.items()}
    )
    assert written[1] == {
        "kind": "inference_geo", "value": "us", "multiplier": "1.1", "source": "a page",
        "date": "2026-11-24",
    }  # fmt: skip
    read = read_conditions(
        written, lambda texts: {name: parse_rate(name, text) for name, text in texts.items()}
    )
    assert read == STORED["conditions"]


def test_a_change_of_a_condition_is_a_change_of_the_price() -> None:
    dearer = {**STORED, "conditions": [FAST, {**US, "multiplier_ppm": 1_200_000}]}
    (change,) = rate_changes(STORED, dearer)
    assert change == ("", None, 1_100_000, 1_200_000, ("inference_geo", "us"))
    without = {**STORED, "conditions": [FAST]}
    assert [one.condition for one in rate_changes(STORED, without)] == [("inference_geo", "us")]
