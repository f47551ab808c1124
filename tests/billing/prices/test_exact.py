"""Charges against exact fractions, by the text of the promise, over as many rows as wanted.

charge = Σ quantity × rate × multiplier, as exact rationals, rounded once, half-even
(docs/promises.md, "Books").
"""

import ast
import random
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.prices.meters import FALLBACKS, INPUT_TOKEN_METERS, METERS
from billing.prices.pricing import (
    PPM,
    CostLines,
    PriceVersion,
    dearest,
    price,
    price_bound,
    total_of,
)

ROOT = Path(__file__).resolve().parents[3]
NAMES = [*METERS, "images[1024,standard]", "video_ms[720p]", "searches[high]"]
_ROWS_OF_A_VERSION = 500


def random_version(dice: random.Random) -> dict[str, Any]:
    def rate() -> int:
        return dice.choice([0, 1, 37_500, 150_000_000, dice.randrange(10**13)])

    # What has no rate of its own has its fallback's.
    values = {name: rate() for name in NAMES if name not in FALLBACKS or dice.random() < 0.7}
    count = dice.choice([0, 0, 1, 2, 3])
    mode = dice.choice(["whole", "marginal"])
    tiers = [
        {
            "input_over": over,
            "mode": mode,
            "meters": {name: rate() for name in dice.sample(NAMES, 8)},
        }
        for over in sorted(dice.sample(range(2_000_000), count))
    ]
    return {"meters": values, "tiers": tiers}


def random_usage(dice: random.Random) -> dict[str, int]:
    return {
        name: dice.choice([0, 1, 3, dice.randrange(1000), dice.randrange(1_500_000)])
        for name in dice.sample(NAMES, dice.randrange(1, 7))
    }


class Oracle:
    """A price version as the promise has it: whole tables of rates, and nothing of the product."""

    def __init__(self, stored: dict[str, Any]) -> None:
        self.mode = stored["tiers"][0]["mode"] if stored["tiers"] else "whole"
        laid: dict[str, int] = dict(stored["meters"])
        self.floors, self.tables = [0], [self._complete(laid)]
        for tier in stored["tiers"]:
            laid = laid | tier["meters"]
            self.floors.append(tier["input_over"])
            self.tables.append(self._complete(laid))

    @staticmethod
    def _complete(quantities: dict[str, int]) -> dict[str, int]:
        rates = dict(quantities)
        for name, fallback in (
            ("in_cache_read", "in_text"),
            ("in_cache_write_5m", "in_text"),
            ("in_cache_write_30m", "in_cache_write_5m"),
            ("in_cache_write_1h", "in_text"),
            ("out_reasoning", "out_text"),
        ):
            rates.setdefault(name, rates[fallback])
        return rates

    def charge(self, used: dict[str, int], ppm: int) -> int:
        in_all = sum(used.get(name, 0) for name in INPUT_TOKEN_METERS)
        reached = sum(1 for floor in self.floors[1:] if in_all > floor)
        total = position = 0
        for name in INPUT_TOKEN_METERS:
            count = used.get(name, 0)
            if self.mode == "whole":
                total += count * self.tables[reached][name]
                continue
            for band in range(reached + 1):
                low = self.floors[band]
                high = self.floors[band + 1] if band < reached else in_all
                inside = min(position + count, high) - max(position, low)
                total += max(inside, 0) * self.tables[band][name]
            position += count
        for name, count in used.items():
            if name not in INPUT_TOKEN_METERS:
                total += count * self.tables[reached][name]
        # Fraction's round is half-even, and exact.
        return round(Fraction(total * ppm, 10**12))


def differing_rows(rows: int, seed: int) -> Iterator[tuple[Any, ...]]:
    dice = random.Random(seed)
    for n in range(0, rows, _ROWS_OF_A_VERSION):
        stored = random_version(dice)
        oracle, version = Oracle(stored), PriceVersion.from_stored(stored)
        ppm = dice.choice([PPM, PPM, 1_070_000, dice.randrange(3 * PPM)])
        version = version.multiplied(ppm)
        for _ in range(min(_ROWS_OF_A_VERSION, rows - n)):
            used = random_usage(dice)
            total, exact = total_of(used, version), oracle.charge(used, ppm)
            if total != exact:
                yield stored, used, ppm, total, exact


@pytest.mark.parametrize("rows", [20_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_every_row_is_charged_to_the_nano(rows: int) -> None:
    assert next(differing_rows(rows, 20261120), None) is None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_ten_million_rows_are_charged_to_the_nano(seed: int) -> None:
    assert next(differing_rows(1_000_000, seed), None) is None


def test_the_total_is_that_of_the_lines() -> None:
    dice = random.Random(5)
    for _ in range(50):
        version = PriceVersion.from_stored(random_version(dice)).multiplied(930_000)
        for _ in range(20):
            used = random_usage(dice)
            cost = price(used, version)
            assert isinstance(cost, CostLines)
            assert total_of(used, version) == cost.total_nano


counts = st.integers(0, 400)
versions = st.integers(0, 2**32).map(lambda seed: random_version(random.Random(seed)))


@settings(max_examples=100)
@given(
    stored=versions,
    used=st.dictionaries(st.sampled_from(NAMES), counts, max_size=5),
    more=st.integers(1, 400),
)
def test_a_marginal_tier_never_makes_more_usage_cheaper(
    stored: dict[str, Any], used: dict[str, int], more: int
) -> None:
    for tier in stored["tiers"]:
        tier["mode"] = "marginal"
        # Thresholds that such small usage reaches, in their order.
        tier["input_over"] %= 1000
    stored["tiers"] = sorted(
        {tier["input_over"]: tier for tier in stored["tiers"]}.values(),
        key=lambda tier: tier["input_over"],
    )
    # Output is counted beyond all input: its rate may fall in a tier, and is not asked here.
    used = {name: count for name, count in used.items() if name in INPUT_TOKEN_METERS}
    version = PriceVersion.from_stored(stored)
    less = total_of(used, version)
    # More at the end of the prompt shifts nothing that stands before it.
    grown = total_of({**used, "in_image": used.get("in_image", 0) + more}, version)
    assert isinstance(less, int)
    assert isinstance(grown, int)
    assert grown >= less


@settings(max_examples=100)
@given(
    stored=st.lists(versions, min_size=1, max_size=3),
    used=st.dictionaries(st.sampled_from(NAMES), st.integers(0, 2_500_000), max_size=6),
    ppms=st.lists(st.integers(0, 2 * PPM), min_size=3, max_size=3),
)
def test_nothing_costs_more_than_the_highest_bound(
    stored: list[dict[str, Any]], used: dict[str, int], ppms: list[int]
) -> None:
    results = [
        PriceVersion.from_stored(one).multiplied(ppm)
        for one, ppm in zip(stored, ppms, strict=False)
    ]
    bound = price_bound(used, dearest(results))
    assert isinstance(bound, CostLines)
    for version in results:
        total = total_of(used, version)
        assert isinstance(total, int)
        assert total <= bound.total_nano


@settings(max_examples=100)
@given(quantity=st.integers(0, 10**9), rate=st.integers(0, 10**9), ppm=st.integers(0, 2 * PPM))
def test_a_multiplier_is_rounded_once_and_half_even(quantity: int, rate: int, ppm: int) -> None:
    stored = {"meters": {"in_text": rate, "out_text": rate}}
    version = PriceVersion.from_stored(stored).multiplied(ppm)
    exact = Fraction(2 * quantity * rate * ppm, 10**12)
    # Two lines, one rounding: never the sum of two rounded lines.
    assert total_of({"in_text": quantity, "out_text": quantity}, version) == round(exact)


# What turns a rate and a count into money, from the price's text to the ledger's row.
PATH = (
    ROOT / "billing/credits/code_format.py",
    ROOT / "billing/credits/promo_rules.py",
    ROOT / "billing/currency/conversion.py",
    ROOT / "billing/currency/money.py",
    ROOT / "billing/ledger/hold_rules.py",
    ROOT / "billing/invoices/rules.py",
    ROOT / "billing/ledger/funding.py",
    ROOT / "billing/ledger/posting.py",
    ROOT / "billing/limits/budget_rules.py",
    ROOT / "billing/limits/channel_limits.py",
    ROOT / "billing/limits/charge_rule.py",
    ROOT / "billing/periods/period_starts.py",
    ROOT / "billing/prices/catalogue/catalogue.py",
    ROOT / "billing/prices/catalogue/additions.py",
    ROOT / "billing/prices/conditions.py",
    ROOT / "billing/prices/meters.py",
    ROOT / "billing/prices/multipliers.py",
    ROOT / "billing/prices/name_patterns.py",
    ROOT / "billing/prices/price_list.py",
    ROOT / "billing/prices/pricing.py",
    ROOT / "billing/prices/rate_changes.py",
    ROOT / "billing/prices/upstream_prices.py",
    ROOT / "billing/prices/written_conditions.py",
    ROOT / "billing/subscriptions/included_units.py",
    ROOT / "billing/subscriptions/rules.py",
    ROOT / "billing/topups/rules.py",
    ROOT / "billing/wallets/pace.py",
    ROOT / "billing/holds/resolve_holds.py",
    ROOT / "billing/holds/sweep_holds.py",
    ROOT / "billing/ledger/accounts.py",
    ROOT / "billing/ledger/spending.py",
    ROOT / "billing/ledger/sql.py",
    ROOT / "billing/ledger/sql_statement.py",
    ROOT / "billing/limits/budget_windows.py",
    ROOT / "billing/limits/enforcement.py",
    ROOT / "billing" / "prices" / "prices.py",
    ROOT / "billing" / "price_plans" / "price_plans.py",
    ROOT / "billing" / "prices" / "proposals.py",
    ROOT / "usage" / "records" / "sql.py",
    ROOT / "usage" / "records" / "records.py",
    ROOT / "relay/metering/usage_meter.py",
    ROOT / "relay/hold_sizes/estimate.py",
    ROOT / "relay/ledger/settlement.py",
    ROOT / "relay/hold_sizes/rules.py",
    ROOT / "gateway" / "prices" / "replay.py",
    ROOT / "gateway" / "prices" / "previews.py",
)


@pytest.mark.parametrize("path", PATH, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_float_and_no_division_stand_on_the_path(path: Path) -> None:
    """A float, a `/`, `float`, `round`: none can be in what makes money."""
    results = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Div):
            results.append("a division")
        elif isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            results.append(f"{node.value} at line {node.lineno}")
        elif isinstance(node, ast.Name) and node.id in {"float", "round"}:
            results.append(f"{node.id} at line {node.lineno}")
    assert results == []
