"""I15: what an answer costs us follows from what its provider counted, whatever the customer pays:
for each documented usage, and each way in which a bill charges less than all of it."""

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

import pytest

from billing.prices.lookup import Price, PriceList, PriceRow
from billing.prices.pricing import PriceVersion
from lib.ids import new_id
from relay.answers.abandoned import DrainLimit, absorb_cost
from relay.counting.own_count import UsageEvidence
from relay.hold_sizes.estimate import Size
from relay.metering.usage_meter import Bill, OtherPrices, UsageMeter, count
from tests.relay.metering.golden_usages import GOLDEN, IDS, Golden, cost_rates
from tests.relay.metering.test_golden_usages import READERS, find, prices, rows

ENOUGH: Final = 10**12
_LEFT: Final = Bill({"in_text": 1, "out_text": 1}, 1, "estimated", (), None)


class Paid(NamedTuple):
    """An answer as its customer pays for it: the hold, what its price is, and what becomes of the
    bill."""

    hold_nano: int = ENOUGH
    priced: Callable[[Price], Price | None] = lambda price: price
    then: Callable[[Bill, Price], Bill] = lambda bill, _: bill


def _cut_at(part: int) -> Callable[[Bill, Price], Bill]:
    """A rule that charges for one part of so many."""

    def cut(bill: Bill, price: Price) -> Bill:
        return DrainLimit(_LEFT, bill.charge_nano // part, 0).applied(bill, price.version)

    return cut


WAYS: Final[Mapping[str, Paid]] = {
    "whole": Paid(),
    "above its hold": Paid(hold_nano=1),
    "without a sale price": Paid(priced=lambda _: None),
    "under review": Paid(priced=lambda price: replace(price, version=PriceVersion({"images": 7}))),
    "absorbed": Paid(then=lambda bill, _: absorb_cost(bill)),
    "cut at a half": Paid(then=_cut_at(2)),
    "cut at a hundredth": Paid(then=_cut_at(100)),
    "cut at nothing": Paid(then=_cut_at(ENOUGH)),
}

COSTS: Final = PriceList(
    PriceRow(n, row.model, "charge", "", row.service_tier, row.hours, 0, None,
             cost_rates(row.rates), "genai-prices of a test")
    for n, row in enumerate(rows())
)  # fmt: skip


@functools.cache
def _sale(name: str) -> Price:
    return find(name)


@functools.cache
def _cost(name: str) -> Price:
    result = COSTS.find(prices().names_for(name), 43_200.0)
    assert result is not None
    return result


def _billed(golden: Golden, way: Paid) -> tuple[UsageMeter, Bill]:
    """The meter and bill of an answer with that usage."""
    tier = golden.asked.get("service_tier", "")
    rest = {kind: word for kind, word in golden.asked.items() if kind != "service_tier"}
    price = _sale(golden.model).for_request(tier).asking(rest)
    others = OtherPrices(_sale, _cost)
    hold: Any = SimpleNamespace(
        attempt_id=new_id(), size=Size(way.hold_nano, None), own=None,
        price=way.priced(price), cost=_cost(golden.model).for_request(tier),
    )  # fmt: skip
    admitted: Any = SimpleNamespace(
        hold=hold, cut_above=None, upstream_model="", facts=SimpleNamespace(model=golden.model)
    )
    meter = UsageMeter(admitted, others)
    read = READERS[golden.wire](json.dumps(golden.usage).encode())
    meter.prices.set_reported_tier(read.conditions.get("service_tier", ""))
    bill = count(
        UsageEvidence(40, read, b"{}"), meter.prices.price, way.hold_nano, "drained",
        asked=rest, unknown=meter.prices.unknown, others=others, names=(golden.model,),
    )  # fmt: skip
    return meter, way.then(bill, price)


@pytest.mark.parametrize("name", WAYS)
def test_a_cost_is_that_of_the_whole_usage(name: str) -> None:
    wrong = {}
    for id, golden in zip(IDS, GOLDEN, strict=True):
        meter, bill = _billed(golden, WAYS[name])
        cost_nano = meter.cost_nano(bill)
        if cost_nano is None or abs(cost_nano - golden.cost_nano) > golden.parts // 2:
            wrong[id] = (cost_nano, golden.cost_nano)
    assert wrong == {}


def test_ways_charge_differently() -> None:
    charged = {name: _billed(GOLDEN[0], way)[1] for name, way in WAYS.items()}
    assert charged["whole"].charge_nano == GOLDEN[0].nano
    assert all(
        bill.charge_nano < GOLDEN[0].nano for name, bill in charged.items() if name != "whole"
    )
    assert {name for name, bill in charged.items() if bill.cut_from} == {
        name for name in WAYS if name.startswith("cut")
    }
