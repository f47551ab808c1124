"""The reasons, stored with an attempt, why it went to its channel and not to another."""

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
    # Reasons by the operators' choice for the model, or by the session:
    # gateway/channel_order/tie_breaking.py.
    "latency",
    "ttft",
    "throughput",
    "in_flight",
    "price",
    "conversation",
    "user",
]
"""Why a channel was asked: it alone serves the model, the organisation has its own key for it, it
comes before the others, it was drawn by weight, no healthy one was left, the previous one failed,
it was retried because no other was left or because its connection was closed, or it is the first
for a model that answers in place of another. The request names that model, or an operator's rule
does, which may apply when a budget is too low for the requested model."""

SkipReason = Literal[
    # The channel, or each of its keys, is turned off.
    "disabled",
    # The channel is only for organisations that pay later, it cannot serve this request, or no
    # attempts are left.
    "prepaid",
    "unsupported",
    "retry_budget",
    # The channel cannot be used now: gateway/breaker/channel_state.py, BlockReason.
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
    # The channel is not for such a request: gateway/channels/overrides/condition_rules.py.
    "plan",
    "team",
    "label",
    "prompt_length",
    "content",
    # The channel may not receive the request's data: accounts/limits/data_policy.py.
    "retention",
    "region",
]
"""Why a channel of the model was passed over."""
