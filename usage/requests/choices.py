"""Why an attempt went to its channel and not to another, as its row says it."""

from typing import Literal

Why = Literal[
    "only",
    "own_key",
    "priority",
    "weight",
    "last_resort",
    "failover",
    "retry",
    "resend",
    "model_fallback",
    "fallback_rule",
    "budget_rule",
    # By what operators rule for the model: gateway/routing/tie_breaking.py.
    "latency",
    "ttft",
    "throughput",
    "in_flight",
    "price",
    "conversation",
    "user",
]
"""Why a channel is asked: no other serves the model, the organisation has its own key for it, it
comes before the others, it was drawn by
weight, nothing that is well is left, the one before it failed, it is asked once more because no
other is left, or because its connection was found closed; it is the first for a model that answers
in place of another, named by the request or by an operator's rule, or by such a rule for when a
budget does not reach for the other."""

SkipReason = Literal[
    # It, or each of its keys, is turned off.
    "disabled",
    # It serves only who pays later, it cannot serve this request, further attempts are used up.
    "prepaid",
    "unsupported",
    "retry_budget",
    # It cannot be used now: gateway/health/channel_state.py, BlockReason.
    "key_refused",
    "no_credit",
    "misconfigured",
    "model_unknown",
    "cooling",
    "failing",
    "requests",
    "tokens",
    "parallel",
    "spend_day",
    "spend_month",
    # It is not for such a request: gateway/overrides/condition_rules.py.
    "plan",
    "team",
    "label",
    "prompt_length",
    "content",
    # It may not have the request's data: accounts/organisations/data_policy.py.
    "retention",
    "region",
]
"""Why a channel of the model is passed over."""
