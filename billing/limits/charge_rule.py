"""Charges for requests that are abandoned, or that fail after their first content.

    measured   close the upstream immediately; charge the usage measured so far
    drain      keep reading up to a time and a cost limit; charge the final usage, or the usage
               measured when a limit was reached
    absorb     close the upstream immediately; charge nobody: the installation bears the cost

A rule of the organisation comes before a rule of the model. Without either, the channel's policy
decides. A complete answer that only lacks its usage is charged under all rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, get_args

from billing.currency.money import MoneyInvalid, format_usd, parse_usd
from billing.prices.meters import find_meter
from billing.prices.pricing import PriceVersion, total_of

Kind = Literal["measured", "drain", "absorb"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
Level = Literal["organisation", "model", "channel"]

DRAIN_SECONDS: Final = 120
DRAIN_SECONDS_MAX: Final = 600


class ChargeRuleInvalid(ValueError):
    """The rule is invalid. `field` is kind, seconds or cost."""

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} of a charge rule is out of range")
        self.field = field


@dataclass(frozen=True, slots=True)
class ChargeRule:
    """A rule. `seconds` and `cost_nano` limit a drain: its duration, and the additional cost after
    its start; None means as much as the hold allows."""

    kind: Kind
    seconds: int = DRAIN_SECONDS
    cost_nano: int | None = None


MEASURED: Final = ChargeRule("measured")


class RuleInForce(NamedTuple):
    """The rule that applies to a request, and the level at which it is set."""

    rule: ChargeRule
    level: Level


def rule_in_force(
    organisation: ChargeRule | None, model: ChargeRule | None, channel: ChargeRule
) -> RuleInForce:
    """Return the rule of the organisation, else of the model, else of the channel's policy."""
    if organisation is not None:
        return RuleInForce(organisation, "organisation")
    if model is not None:
        return RuleInForce(model, "model")
    return RuleInForce(channel, "channel")


def build_charge_rule(kind: str, seconds: int | None = None, cost: str | None = None) -> ChargeRule:
    """Return a rule from its stored or typed fields. `cost` is decimal text in USD. Only a drain
    has limits. Raises ChargeRuleInvalid."""
    known = next((name for name in KINDS if name == kind), None)
    if known is None:
        raise ChargeRuleInvalid("kind")
    if known != "drain":
        if seconds is not None or cost is not None:
            raise ChargeRuleInvalid("cost" if seconds is None else "seconds")
        return ChargeRule(known)
    seconds = DRAIN_SECONDS if seconds is None else seconds
    if not 1 <= seconds <= DRAIN_SECONDS_MAX:
        raise ChargeRuleInvalid("seconds")
    try:
        cost_nano = None if cost is None else parse_usd(cost)
    except MoneyInvalid:
        raise ChargeRuleInvalid("cost") from None
    if cost_nano is not None and cost_nano < 0:
        raise ChargeRuleInvalid("cost")
    return ChargeRule(known, seconds, cost_nano)


def stored_rule(rule: ChargeRule | None) -> dict[str, Any]:
    """Return the rule as it is stored: {} for none, else its kind, and for a drain `seconds` and an
    optional `cost` as decimal text in USD."""
    if rule is None:
        return {}
    stored: dict[str, Any] = {"kind": rule.kind}
    if rule.kind == "drain":
        stored["seconds"] = rule.seconds
    if rule.cost_nano is not None:
        stored["cost"] = format_usd(rule.cost_nano)
    return stored


def read_rule(stored: Mapping[str, Any] | None) -> ChargeRule | None:
    """Return the stored rule; None if there is none, or if this version does not know it."""
    if not stored:
        return None
    try:
        return build_charge_rule(stored.get("kind", ""), stored.get("seconds"), stored.get("cost"))
    except ChargeRuleInvalid:
        return None


def meters_up_to(
    meters: Mapping[str, int], version: PriceVersion, limit_nano: int
) -> dict[str, int] | None:
    """Return the meters of an answer up to where its charge reaches `limit_nano`. Input is paid
    first, then reasoning, then text; the rest is cut. Return None if the input alone exceeds the
    limit. `meters` must have a price in `version`."""
    outputs = sorted(
        (name for name in meters if find_meter(name).side == "out"),
        key=lambda name: name != "out_reasoning",
    )

    def first(count: int) -> dict[str, int]:
        taken = dict(meters)
        for name in outputs:
            taken[name] = min(meters[name], count)
            count -= taken[name]
        return taken

    def fits(count: int) -> bool:
        charge = total_of(first(count), version)
        return isinstance(charge, int) and charge <= limit_nano

    if not fits(0):
        return None
    low, high = 0, sum(meters[name] for name in outputs)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return first(low)
