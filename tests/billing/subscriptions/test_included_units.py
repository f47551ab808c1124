"""Included units: what a request may come to is never below what it then uses, and what they pay is
never more than they are worth."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from billing.prices.meters import Bound
from billing.prices.pricing import CostLines, PriceVersion, price
from billing.subscriptions.included_units import (
    Allowance,
    Paid,
    applicable,
    beyond_nano,
    kept_back,
    paid_by_units,
    wanted_units,
)

PRICE = PriceVersion.from_stored(
    {"meters": {"in_text": 2_000_000_000, "out_text": 8_000_000_000, "images": 4 * 10**13}}
)
INPUTS = (
    "in_text", "in_cache_read", "in_cache_write_5m", "in_cache_write_30m", "in_cache_write_1h",
)  # fmt: skip
counts = st.integers(0, 5_000)
rates = st.integers(0, 10**10)


def test_first_matching_allowance_of_a_meter_is_used() -> None:
    small = Allowance(1, "in_text", ("gpt-*-mini",))
    every, output = Allowance(2, "in_text", ()), Allowance(3, "out_text", ("claude-*",))
    assert applicable([small, every, output], "gpt-5-mini") == {"in_text": small}
    assert applicable([small, every, output], "claude-5") == {"in_text": every, "out_text": output}


def test_a_variant_is_of_its_meter() -> None:
    ways = [[Bound(("images[1024,hd]",), 3)], [Bound(("out_image",), 9)]]
    assert wanted_units(ways, ["images", "in_text"]) == {"images": 3}
    version = PriceVersion.from_stored({"meters": {"images[1024,hd]": 4 * 10**13}})
    assert paid_by_units([({"images[1024,hd]": 3}, version)], {"images": 2}) == Paid(
        80_000_000, {"images": 2}
    )


def test_remainder_uses_the_tier_of_the_whole_request() -> None:
    tiers = [{"input_over": 1000, "mode": "whole", "meters": {"in_text": 4_000_000_000}}]
    version = PriceVersion.from_stored(
        {"meters": {"in_text": 2_000_000_000, "out_text": 8_000_000_000}, "tiers": tiers}
    )
    paid = paid_by_units([({"in_text": 1_500, "out_text": 10}, version)], {"in_text": 1_000})
    assert paid == Paid(4_000_000, {"in_text": 1_000})


@given(
    st.tuples(counts, counts, counts),
    rates,
    rates,
    rates,
    st.sets(st.sampled_from(["in_text", "in_cache_read", "out_text"])),
    st.integers(1, 2_000_000),
    st.integers(1, 3_000_000),
)
def test_hold_covers_what_is_left_to_pay(
    used: tuple[int, int, int],
    text: int,
    cached: int,
    out: int,
    meters: set[str],
    ppm: int,
    condition_ppm: int,
) -> None:
    """P2: the balance holds enough, however the input is counted in the end."""
    rate = {"in_text": text, "in_cache_read": cached, "out_text": out}
    version = PriceVersion.from_stored({"meters": rate}).multiplied(ppm)
    version = replace(version, token_ppm=condition_ppm)
    quantities = dict(zip(rate, used, strict=True))
    way = [Bound(INPUTS, used[0] + used[1]), Bound(("out_text", "out_reasoning"), used[2])]
    wanted = wanted_units([way], meters)
    assert all(quantities[name] <= wanted.get(name, 0) for name in meters)
    cost = price(quantities, version)
    assert isinstance(cost, CostLines)
    paid = paid_by_units([(quantities, version)], wanted)
    assert 0 <= paid.nano <= cost.total_nano
    assert cost.total_nano - paid.nano <= beyond_nano([way], wanted, version)
    assert all(count <= wanted[name] for name, count in paid.units.items())


@given(st.integers(1, 10**12), st.integers(1, 10**6), st.integers(0, 10**6))
def test_used_units_do_not_return(back: int, less: int, unused: int) -> None:
    kept = kept_back(-back, [(less, unused)])
    assert -back <= kept <= 0
    assert -kept * less <= back * min(unused, less)
    assert kept_back(back, [(less, unused)]) == back


def test_the_most_used_kind_of_units_decides_what_returns() -> None:
    terms = [(100, 100), (100, 25), (10, 9), (0, 0)]
    assert kept_back(-1_000, terms) == -250
    assert kept_back(-1_000, terms[:1]) == kept_back(-1_000, []) == -1_000


def test_paid_part_of_each_held_meter() -> None:
    assert Paid(5, {"in_text": 3}).of_each(["images", "in_text"]) == (0, 3)


def test_half_a_nano_of_the_rest_rounds_like_a_charge() -> None:
    version = PriceVersion.from_stored({"meters": {"in_text": 2_000_000, "out_text": 500_000}})
    paid = paid_by_units([({"in_text": 1, "out_text": 1}, version)], {"in_text": 1})
    assert paid == Paid(2, {"in_text": 1})
