"""How much more of an answer is read on whose client has left, and what is charged of it."""

from types import SimpleNamespace
from typing import Any

import pytest

from billing.limits.charge_rule import ChargeRule, Kind
from billing.prices.pricing import PriceVersion
from relay.answers.abandoned import _TOKENS_MAX, drain_limit, may_be_absorbed
from relay.counting.estimates import BYTES_PER_ESTIMATED_TOKEN
from relay.metering.usage_meter import Bill

# 3 nano for a token of output.
VERSION = PriceVersion.from_stored({"meters": {"out_text": 3_000_000}})


@pytest.mark.parametrize(
    ("cost_nano", "tokens"), [(0, 0), (2, 0), (3, 1), (5, 1), (6, 2), (300, 100)]
)
def test_abandoned_answer_is_read_as_far_as_its_cost_covers(cost_nano: int, tokens: int) -> None:
    bill = Bill({"out_text": 10}, 30, "estimated", (), None)
    limit = drain_limit(bill, VERSION, cost_nano, 70)
    assert limit.most_nano == 30 + cost_nano
    assert limit.text_bytes_max == 70 + tokens * BYTES_PER_ESTIMATED_TOKEN


def test_answer_without_text_is_read_as_far_as_its_cost_covers() -> None:
    """Its bill has no meter of output yet."""
    limit = drain_limit(Bill({}, 0, "estimated", (), None), VERSION, 3, 0)
    assert limit.text_bytes_max == BYTES_PER_ESTIMATED_TOKEN


@pytest.mark.parametrize(
    ("text_in", "output", "charge_nano", "paid", "basis"),
    [
        # Up to the limit of 36 nano nothing is cut, and beyond it the output is.
        (0, 12, 36, None, "provider"),
        (0, 13, 39, {"in_text": 0, "out_text": 12}, "provider"),
        (0, 100, 300, {"in_text": 0, "out_text": 12}, "provider"),
        # The input alone is beyond it: what was counted when the client left is paid.
        (37, 1, 40, {"out_text": 10}, "estimated"),
    ],
)
def test_installation_pays_an_answers_cost_above_the_limit(
    text_in: int, output: int, charge_nano: int, paid: dict[str, int] | None, basis: str
) -> None:
    """The charge and the excess are together what the provider counted, to the nano."""
    version = PriceVersion.from_stored({"meters": {"in_text": 1_000_000, "out_text": 3_000_000}})
    limit = drain_limit(Bill({"out_text": 10}, 30, "estimated", (), None), version, 6, 70)
    whole = Bill({"in_text": text_in, "out_text": output}, charge_nano, "provider", (), None, 5)
    bill = limit.applied(whole, version)
    assert bill.charge_nano + bill.excess_nano == charge_nano + 5
    assert (bill.charge_nano <= limit.most_nano, bill.basis) == (True, basis)
    if paid is None:
        assert bill == whole
    else:
        assert (bill.meters, bill.cut_from, bill.flags) == (paid, whole.meters, ("drain_limit",))
        assert bill.charge_nano == paid.get("in_text", 0) + 3 * paid["out_text"]


def test_unpriced_answer_is_read_whole() -> None:
    left = Bill({"out_text": 10}, 0, "none", (), None)
    limit = drain_limit(left, None, 5, 70)
    assert (limit.most_nano, limit.text_bytes_max) == (5, 70 + _TOKENS_MAX)
    whole = Bill({"out_text": 10_000}, 0, "none", (), None)
    assert limit.applied(whole, None) == whole


@pytest.mark.parametrize(
    ("organisation", "model", "drains", "absorbed"),
    [
        (None, None, False, False),
        (None, None, True, False),
        ("absorb", None, True, True),
        ("absorb", "drain", False, True),
        (None, "absorb", False, True),
        (None, "drain", False, False),
        ("measured", "absorb", False, False),
        ("drain", None, False, False),
    ],
)
def test_unpaid_stream_has_no_chargeable_mark(
    organisation: Kind | None, model: Kind | None, drains: bool, absorbed: bool
) -> None:
    """P6: the stream of a killed process is charged by its mark, so one that nobody would pay has
    none."""
    rules = {kind: ChargeRule(kind) for kind in (organisation, model) if kind is not None}
    context: Any = SimpleNamespace(
        parts=SimpleNamespace(config=SimpleNamespace(leave_drain_s=30)),
        snapshot=SimpleNamespace(
            charge_ruled=model is not None,
            rule_of=lambda _: SimpleNamespace(charge_rule=model and rules[model]),
        ),
    )
    principal = SimpleNamespace(charge_rule=organisation and rules[organisation])
    admitted: Any = SimpleNamespace(
        hold=SimpleNamespace(principal=principal), facts=SimpleNamespace(model="m"),
        channel=SimpleNamespace(drain=drains),
    )  # fmt: skip
    assert may_be_absorbed(context, admitted) is absorbed
