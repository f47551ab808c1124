"""What changes between two sets of rates, and which cuts need two persons."""

import pytest

from billing.prices.proposals import _rate_place
from billing.prices.rate_changes import RateChange, rate_changes
from billing.prices.second_person import fell_by_more_than_half

BEFORE = {
    "meters": {"out_text": 10, "in_text": 4},
    "tiers": [{"input_over": 100, "mode": "whole", "meters": {"in_text": 8}}],
}


def test_every_changed_rate_is_named_in_meter_order() -> None:
    after = {
        "meters": {"in_text": 5, "out_text": 10, "searches": 7},
        "tiers": [{"input_over": 200, "mode": "whole", "meters": {"in_text": 8}}],
    }
    assert rate_changes(BEFORE, after) == (
        RateChange("in_text", None, 4, 5),
        RateChange("searches", None, None, 7),
        RateChange("in_text", 100, 8, None),
        RateChange("in_text", 200, None, 8),
    )


def test_rate_of_a_condition_is_none_of_the_plain_price() -> None:
    fast = {"kind": "speed", "value": "fast", "meters": {"in_text": 8}, "tiers": [
        {"input_over": 100, "mode": "whole", "meters": {"in_text": 16}}
    ]}  # fmt: skip
    batch = {"kind": "service_tier", "value": "batch", "multiplier_ppm": 500_000}
    changes = rate_changes(BEFORE, {**BEFORE, "conditions": [fast, batch]})
    speed, tier = ("speed", "fast"), ("service_tier", "batch")
    assert changes == (
        RateChange("", None, None, 500_000, tier),
        RateChange("in_text", None, None, 8, speed),
        RateChange("in_text", 100, None, 16, speed),
    )
    assert [*map(_rate_place, changes)] == [
        "service_tier=batch multiplier", "speed=fast in_text", "speed=fast in_text >100",
    ]  # fmt: skip
    assert _rate_place(RateChange("out_text", None, 1, 2)) == "out_text"


@pytest.mark.parametrize(
    ("before", "after", "permille"),
    [
        (4, 5, 250),
        (3, 1, -667),
        (8, 9, 125),
        (16, 17, 62),
        (None, 1, None),
        (0, 1, None),
        (2, 0, -1000),
    ],
)
def test_change_in_tenths_of_a_percent_half_even(
    before: int | None, after: int, permille: int | None
) -> None:
    assert RateChange("in_text", None, before, after).permille == permille


def test_a_cut_in_any_tier_counts_and_a_first_price_is_none() -> None:
    tier = {"input_over": 100, "mode": "whole", "meters": {"in_text": 3}}
    assert fell_by_more_than_half(BEFORE, {**BEFORE, "tiers": [tier]})
    assert fell_by_more_than_half(BEFORE, None)
    assert not fell_by_more_than_half(None, BEFORE)
    assert not fell_by_more_than_half(BEFORE, BEFORE)


@pytest.mark.parametrize(
    ("before", "after", "needs_two"),
    [
        ({"in_text": 5}, {"in_text": 3}, False),
        ({"in_text": 4}, {"in_text": 2}, False),
        ({"in_text": 5}, {"in_text": 2}, True),
        ({"in_text": 4}, {"in_text": 9}, False),
        ({"in_text": 4}, {"in_text": 4, "out_text": 1}, False),
        ({"in_text": 0}, {"in_text": 1}, False),
    ],
)
def test_only_a_cut_to_less_than_half_needs_two_persons(
    before: dict[str, int], after: dict[str, int], needs_two: bool
) -> None:
    assert fell_by_more_than_half({"meters": before}, {"meters": after}) is needs_two
