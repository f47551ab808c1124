"""Which of several prices applies: by name, at one instant, for a tier, in a region."""

from collections.abc import Sequence
from typing import Any

import pytest

from billing.prices.lookup import Price, PriceList, PriceRow, asked_conditions, requested_tier
from dialects.json.body import read_body

DAY = 86_400
NOON = DAY // 2


def row(n: int, model: str = "m", rates: dict[str, Any] | None = None, **over: Any) -> PriceRow:
    """A price of `n` nano per million, which is its id, too."""
    fields: dict[str, Any] = {
        "kind": "charge", "channel": "", "service_tier": "", "hours": "", "valid_from": 0,
        "valid_to": None,
    } | over  # fmt: skip
    return PriceRow(id=n, model=model, rates=rates or {"meters": {"in_text": n}}, **fields)


def price_of(rows: Sequence[PriceRow], model: str = "m", now: float = NOON) -> Price | None:
    prices = PriceList(rows)
    return prices.find(prices.names_for(model), now)


def id_of(rows: Sequence[PriceRow], model: str = "m", now: float = NOON) -> int | None:
    price = price_of(rows, model, now)
    return None if price is None else price.id


def found(rows: Sequence[PriceRow], model: str = "m", now: float = NOON) -> Price:
    price = price_of(rows, model, now)
    assert price is not None
    return price


@pytest.mark.parametrize(
    ("model", "id"),
    [("gpt-5", 4), ("gpt-5-mini", 3), ("gpt-4", 2), ("o3", 1), ("gpt-*", 2), ("GPT-5", 1)],
)
def test_exact_name_comes_first_and_then_the_longest_pattern(model: str, id: int) -> None:
    rows = [row(1, "*"), row(2, "gpt-*"), row(3, "gpt-5*"), row(4, "gpt-5")]
    for listed in (rows, rows[::-1]):
        assert id_of(listed, model) == id


@pytest.mark.parametrize(("now", "id"), [(99, 1), (100, 2), (199, 2), (200, 1)])
def test_a_price_holds_from_its_start_until_before_its_end(now: float, id: int) -> None:
    """Outside of it a wider pattern applies."""
    rows = [row(1, "*"), row(2, valid_from=100, valid_to=200)]
    assert id_of(rows, now=now) == id
    assert id_of(rows[1:], now=now) == (id if id == 2 else None)


@pytest.mark.parametrize(
    ("at", "id"), [(3_599, 1), (3_600, 2), (7_199, 2), (7_200, 1), (9 * DAY + 3_600, 2)]
)
def test_hours_of_the_day_come_before_the_whole_day(at: float, id: int) -> None:
    """Also before a whole day's price that began later."""
    rows = [row(1, valid_from=9), row(2, hours="01:00-02:00")]
    for listed in (rows, rows[::-1]):
        assert id_of(listed, now=at) == id


def test_unreadable_price_leaves_the_others_in_use() -> None:
    broken = [
        row(1, rates={"meters": {"in_tex": 1}}),
        row(2, rates={"rates": {}}),
        row(3, hours="1-2"),
    ]
    assert id_of([*broken, row(4)]) == 4


def test_tiers_and_regions_are_those_in_force() -> None:
    rows = [
        row(1), row(2, service_tier="flex"), row(3, service_tier="priority", valid_to=NOON),
        row(4, service_tier="priority", valid_from=NOON), row(5, service_tier="batch", valid_to=9),
        row(6, region="eu"), row(7, region="us", valid_to=NOON),
        row(8, region="eu", service_tier="flex"), row(9, "other", region="eu"),
    ]  # fmt: skip
    price = found(rows)
    assert {tier: other.id for tier, other in price.others.items()} == {"flex": 2, "priority": 4}
    assert {name: other.id for name, other in price.regions.items()} == {"eu": 6}
    assert price.regions["eu"].others["flex"].id == 8


REGIONS = [row(1), row(2, region="eu"), row(3, region="eu-west-1"), row(4, region="us")]


@pytest.mark.parametrize(
    ("regions", "id", "unplaced"),
    [
        (["eu-west-1", "eu"], 3, False),
        (["eu-west-2", "eu"], 2, False),
        (["asia-1", "asia"], 1, False),
        ([], 1, False),
        (None, 1, True),
    ],
)
def test_the_most_exact_region_with_a_price_applies(
    regions: list[str] | None, id: int, unplaced: bool
) -> None:
    price = found(REGIONS).served_in(regions)
    assert (price.id, price.unplaced, price.regions) == (id, unplaced, {})
    assert not found(REGIONS[:1]).served_in(None).unplaced


def test_a_hold_covers_each_place_that_may_serve_the_request() -> None:
    price = found(REGIONS)

    def most(*places: list[str] | None) -> int:
        return price.within(places).bound.rates["in_text"]

    assert most(["eu-west-1", "eu"], ["asia-1"]) == 3
    assert most(["eu-west-2", "eu"]) == 2
    assert most(["asia-1"]) == 1
    # An unknown place may be any of them, whichever others are known.
    assert most(["asia-1"], None) == most(None, ["eu"]) == 4


def test_a_tier_that_was_not_requested_is_not_charged() -> None:
    tiers = [row(2, service_tier="priority"), row(5, service_tier="flex")]
    price = found([row(1), *tiers, row(3, region="eu"), row(4, region="eu", service_tier="flex")])
    plain = price.for_request("")
    assert [plain.for_tier(tier).id for tier in ("", "priority", "flex")] == [1, 1, 1]
    asked = price.for_request("priority")
    assert [asked.for_tier(tier).id for tier in ("", "priority", "flex")] == [1, 2, 2]
    eu = price.for_request("flex").regions["eu"]
    assert [eu.for_tier(tier).id for tier in ("", "flex")] == [3, 4]


def test_a_plans_multiplier_is_in_each_tier_and_region() -> None:
    rows = [row(1), row(2, service_tier="flex"), row(3, region="eu")]
    rows.append(row(4, region="eu", service_tier="flex"))
    price = found(rows).multiplied(500_000)
    each = [price, price.others["flex"], price.regions["eu"], price.regions["eu"].others["flex"]]
    assert [one.version.multiplier_ppm for one in each] == [500_000] * 4


@pytest.mark.parametrize(
    ("body", "tier"),
    [
        ("{}", ""),
        ('{"service_tier": "Priority"}', "priority"),
        ('{"serviceTier": "SERVICE_TIER_FLEX"}', "flex"),
        ('{"service_tier": "AUTO"}', ""),
        ('{"service_tier": null}', ""),
        ('{"service_tier": 5}', ""),
        ('{"service_tier": "no tier"}', ""),
    ],
)
def test_requested_tier_is_read_in_any_spelling(body: str, tier: str) -> None:
    assert requested_tier(read_body(body.encode())) == tier


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ("{}", {}),
        ('{"speed": "FAST", "inference_geo": "US"}', {"speed": "fast", "inference_geo": "us"}),
        ('{"speed": "Standard", "inference_geo": "Global"}', {}),
        ('{"speed": "warp"}', {"speed": "warp"}),
        ('{"service_tier": "flex", "processing": "batch"}', {}),
    ],
)
def test_requested_conditions_are_read_in_any_spelling(body: str, asked: dict[str, str]) -> None:
    assert asked_conditions(read_body(body.encode())) == asked
