"""P28: usages in the forms that the vendors document, each charged to the nano at the shipped
prices (tests/relay/metering/golden_usages.py; over a relay and the ledger:
test_golden_charges.py)."""

import functools
import json
from typing import Any

import pytest

from billing.prices.catalogue.catalogue import CatalogueRow
from billing.prices.lookup import Price, PriceList, PriceRow
from dialects.anthropic import usage as anthropic
from dialects.converse import usage as converse
from dialects.gemini import usage as gemini
from dialects.openai import usage as openai
from dialects.realtime import realtime
from dialects.responses import usage as responses
from lib.clock import now
from relay.counting.own_count import UsageEvidence
from relay.metering.usage_meter import OtherPrices, TierPrices, count
from tests.relay.metering.golden_usages import GOLDEN, IDS, Golden
from tests.support.shipped import shipped_rows

READERS: dict[str, Any] = {
    "chat": openai.quantities, "responses": responses.quantities,
    "anthropic": anthropic.quantities, "gemini": gemini.quantities,
    "realtime": realtime.quantities, "converse": converse.quantities,
}  # fmt: skip


@functools.cache
def rows() -> list[CatalogueRow]:
    """The shipped prices that are in force."""
    at = now()
    return [
        row
        for row in shipped_rows()
        if row.valid_from <= at and (row.valid_to is None or at < row.valid_to)
    ]


@functools.cache
def prices() -> PriceList:
    return PriceList(
        PriceRow(n, row.model, "charge", "", row.service_tier, row.hours, 0, None, row.rates,
                 "genai-prices of a test")
        for n, row in enumerate(rows())
    )  # fmt: skip


def in_force(model: str) -> list[CatalogueRow]:
    """The shipped prices of a model, by its name or the pattern that it falls under."""
    name = prices().names_for(model)[0]
    return [row for row in rows() if row.model == name]


def find(name: str) -> Price:
    result = prices().find(prices().names_for(name), 43_200.0)
    assert result is not None
    return result


@pytest.mark.parametrize("golden", GOLDEN, ids=IDS)
def test_a_documented_usage_is_exact_to_the_nano(golden: Golden) -> None:
    asked = golden.asked
    rest = {kind: word for kind, word in asked.items() if kind != "service_tier"}
    price = find(golden.model).for_request(asked.get("service_tier", "")).asking(rest)
    message = READERS[golden.wire](json.dumps(golden.usage).encode())
    by_tier = TierPrices(price, None)
    by_tier.set_reported_tier(message.conditions.get("service_tier", ""))
    bill = count(
        UsageEvidence(40, message, b"{}"), by_tier.price, 10**12, "measured",
        asked=rest, unknown=by_tier.unknown,
        others=OtherPrices(find, lambda _: None), names=(golden.model,),
    )  # fmt: skip
    assert bill.unknown == ()
    assert bill.basis == "measured"
    assert bill.charge_nano == golden.nano


def test_forty_documented_usages_exist() -> None:
    assert len(GOLDEN) >= 40
    assert {golden.wire for golden in GOLDEN} == set(READERS)
