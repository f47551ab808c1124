"""What abandoned and failed requests are charged (docs/promises.md, "Leaving clients")."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.limits.charge_rule import (
    DRAIN_SECONDS,
    DRAIN_SECONDS_MAX,
    MEASURED,
    ChargeRule,
    ChargeRuleInvalid,
    build_charge_rule,
    meters_up_to,
    read_rule,
    rule_in_force,
    stored_rule,
)
from billing.prices.pricing import PriceVersion, total_of

DRAIN, ABSORB = ChargeRule("drain", 60, 50_000_000), ChargeRule("absorb")
PRICE = PriceVersion({"in_text": 10**9, "out_text": 3 * 10**9, "out_reasoning": 2 * 10**9})


@pytest.mark.parametrize(
    ("organisation", "model", "rule", "level"),
    [
        (None, None, MEASURED, "channel"),
        (None, DRAIN, DRAIN, "model"),
        (ABSORB, None, ABSORB, "organisation"),
        (ABSORB, DRAIN, ABSORB, "organisation"),
    ],
)
def test_organisation_precedes_model_and_model_precedes_channel(
    organisation: ChargeRule | None, model: ChargeRule | None, rule: ChargeRule, level: str
) -> None:
    assert rule_in_force(organisation, model, MEASURED) == (rule, level)


@pytest.mark.parametrize(
    ("expected", "field"),
    [
        (("cancel",), "kind"),
        (("",), "kind"),
        (("measured", 5), "seconds"),
        (("absorb", None, "0.05"), "cost"),
        (("drain", 0), "seconds"),
        (("drain", DRAIN_SECONDS_MAX + 1), "seconds"),
        (("drain", 5, "-0.01"), "cost"),
        (("drain", 5, "9223372037"), "cost"),
        (("drain", 5, "five"), "cost"),
    ],
)
def test_invalid_rules(expected: tuple[Any, ...], field: str) -> None:
    with pytest.raises(ChargeRuleInvalid) as refused:
        build_charge_rule(*expected)
    assert refused.value.field == field


def test_stored_rule_reads_the_same() -> None:
    for rule in (None, MEASURED, ABSORB, DRAIN, build_charge_rule("drain")):
        assert read_rule(stored_rule(rule)) == rule
    assert stored_rule(DRAIN) == {"kind": "drain", "seconds": 60, "cost": "0.05"}
    assert build_charge_rule("drain").seconds == DRAIN_SECONDS
    # What a younger version may have written.
    assert read_rule({"kind": "halve"}) is None
    assert read_rule(None) is None


@pytest.mark.parametrize(
    ("limit", "meters"),
    [
        (9, None),
        (10, {"in_text": 10, "out_reasoning": 0, "out_text": 0}),
        (14, {"in_text": 10, "out_reasoning": 2, "out_text": 0}),
        (20, {"in_text": 10, "out_reasoning": 4, "out_text": 0}),
        (21, {"in_text": 10, "out_reasoning": 4, "out_text": 1}),
        (10**6, {"in_text": 10, "out_reasoning": 4, "out_text": 7}),
    ],
)
def test_an_answer_is_charged_up_to_its_limit(limit: int, meters: dict[str, int] | None) -> None:
    counted = {"in_text": 10, "out_text": 7, "out_reasoning": 4}
    assert meters_up_to(counted, _thousandth(PRICE), limit) == meters


def _thousandth(price: PriceVersion) -> PriceVersion:
    """So that a unit costs 1, 2 and 3 nano."""
    return PriceVersion({meter: rate // 1000 for meter, rate in price.rates.items()})


amounts = st.integers(0, 10**6)


@given(
    st.fixed_dictionaries({"in_text": amounts, "out_text": amounts, "out_reasoning": amounts}),
    st.fixed_dictionaries(
        {name: st.integers(0, 10**12) for name in ("in_text", "out_text", "out_reasoning")}
    ),
    st.integers(0, 10**12),
    st.integers(0, 10**7),
)
def test_every_token_up_to_the_limit_is_charged_and_none_above(
    meters: dict[str, int], rates: dict[str, int], limit: int, multiplier_ppm: int
) -> None:
    version = PriceVersion(rates, multiplier_ppm=multiplier_ppm)
    cut = meters_up_to(meters, version, limit)
    if cut is None:
        assert _charge({"in_text": meters["in_text"]}, version) > limit
        return
    assert _charge(cut, version) <= limit
    assert all(cut[name] <= meters[name] for name in meters)
    assert cut["in_text"] == meters["in_text"]
    more = next((name for name in ("out_reasoning", "out_text") if cut[name] < meters[name]), None)
    if more is not None:
        assert _charge({**cut, more: cut[more] + 1}, version) > limit


def _charge(meters: dict[str, int], version: PriceVersion) -> int:
    charge = total_of(meters, version)
    assert isinstance(charge, int)
    return charge
