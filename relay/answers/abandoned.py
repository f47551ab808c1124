"""The charge of an attempt that was abandoned by its client, or that failed after its first
content: by the rule of its organisation, its model, or its channel (billing/limits/charge_rule.py).
Successful answers do not use this module.
"""

from typing import Final, NamedTuple

import msgspec

from billing.limits.charge_rule import (
    MEASURED,
    ChargeRule,
    RuleInForce,
    meters_up_to,
    rule_in_force,
)
from billing.prices.pricing import PriceVersion, total_of
from relay.context.context import RequestContext
from relay.counting.estimates import BYTES_PER_ESTIMATED_TOKEN
from relay.holds.admitted_attempt import AdmittedAttempt
from relay.metering.usage_meter import Bill

USAGE_AFTER_TEXT_S: Final = 2.0
"""How long an upstream has, after the end of an answer's text, to report the usage of an abandoned
request."""
# More than any answer contains.
_TOKENS_MAX = 10**9


def rule_of(context: RequestContext, admitted: AdmittedAttempt) -> RuleInForce:
    """Return the charge rule that applies to an attempt."""
    drains = ChargeRule("drain", context.parts.config.leave_drain_s)
    return rule_in_force(
        admitted.hold.principal.charge_rule,
        context.snapshot.rule_of(admitted.facts.model).charge_rule,
        drains if admitted.channel.drain else MEASURED,
    )


def may_be_absorbed(context: RequestContext, admitted: AdmittedAttempt) -> bool:
    """Return whether nobody would be charged if this attempt failed now."""
    if admitted.hold.principal.charge_rule is None and not context.snapshot.charge_ruled:
        return False
    return rule_of(context, admitted).rule.kind == "absorb"


def absorb_cost(bill: Bill) -> Bill:
    """Return the bill for an attempt that the installation pays for. Nobody is charged, so an
    impossible count needs no review.
    """
    return msgspec.structs.replace(
        bill,
        charge_nano=0,
        basis="absorbed",
        flags=tuple(flag for flag in bill.flags if flag != "quarantine"),
        excess_nano=bill.charge_nano + bill.excess_nano,
    )


class DrainLimit(NamedTuple):
    """The limit for draining an answer after its client left: a bill of at most `most_nano`. `left`
    is the bill when the client left. An answer with more text than `text_bytes_max` is over the
    limit, as estimated by size."""

    left: Bill
    most_nano: int
    text_bytes_max: int

    def applied(self, bill: Bill, version: PriceVersion | None) -> Bill:
        """Return the bill, cut at the limit. The installation pays for the rest."""
        if bill.charge_nano <= self.most_nano or version is None:
            return bill
        meters, basis = meters_up_to(bill.meters, version, self.most_nano), bill.basis
        if meters is None:
            # The provider's count exceeds the limit by its input alone, so our own count is used.
            meters, basis = dict(self.left.meters), self.left.basis
        charge = total_of(meters, version)
        if not isinstance(charge, int):
            return bill
        return msgspec.structs.replace(
            bill,
            meters=meters,
            charge_nano=charge,
            basis=basis,
            flags=(*bill.flags, "drain_limit"),
            excess_nano=bill.charge_nano + bill.excess_nano - charge,
            cut_from=bill.meters,
            parts=(),
        )


def drain_limit(
    left: Bill, version: PriceVersion | None, cost_nano: int, text_bytes: int
) -> DrainLimit:
    """Return the limit for draining an answer, at most `cost_nano` beyond the bill `left`.
    `text_bytes` is the answer's text when the draining starts."""
    most_nano = left.charge_nano + cost_nano
    if version is None:
        return DrainLimit(left, most_nano, text_bytes + _TOKENS_MAX)
    output_tokens = left.meters.get("out_text", 0)
    endless = meters_up_to({**left.meters, "out_text": _TOKENS_MAX}, version, most_nano)
    tokens = 0 if endless is None else max(endless["out_text"] - output_tokens, 0)
    return DrainLimit(left, most_nano, text_bytes + tokens * BYTES_PER_ESTIMATED_TOKEN)
