"""A chart of a budget's period: the cumulative spending by day, and its forecast."""

import datetime as dt
from itertools import accumulate
from typing import Any, Final
from zoneinfo import ZoneInfo

from billing.limits.budgets import BudgetUsage
from usage.buckets.buckets import Grain, Span
from usage.filters.filters import between
from usage.limits.budget_simulation import spent_by_bucket

_GRAINS: Final[dict[str, Grain]] = {"day": "hour", "week": "day", "month": "day"}
# The sums do not have labels of requests.
_UNKNOWN: Final = ("project", "customer", "end_user")


def budget_chart(usage: BudgetUsage) -> dict[str, Any] | None:
    """Return the rows of the chart, or None for a period without an end or shorter than the
    resolution of the sums."""
    budget = usage.budget
    grain = _GRAINS.get(budget.period)
    if grain is None or budget.scope in _UNKNOWN:
        return None
    usage_filter = between(
        usage.span.start_at,
        usage.span.end_at,
        ZoneInfo(budget.timezone),
        usage.at,
        grain=grain,
    )
    spent = list(accumulate(spent_by_bucket(budget, usage_filter.spans)))
    now = next(n for n, span in enumerate(usage_filter.spans) if usage.at < span.end_at)
    forecasts = _forecasts(list(usage_filter.spans), now, spent[now], usage.at)
    return {
        "hourly": grain == "hour",
        "limit_nano": usage.limit_nano,
        "rows": [
            {
                "at": span.start_at,
                "spent": spent[n] if n <= now else None,
                "forecast": forecasts.get(n),
                "unfinished": n == now,
            }
            for n, span in enumerate(usage_filter.spans)
        ],
    }


def _forecasts(spans: list[Span], now: int, spent_nano: int, at: dt.datetime) -> dict[int, int]:
    """Return the forecast spending at the end of each future span, at the present pace of the
    period."""
    passed = at - spans[0].start_at
    if not spent_nano or now == len(spans) - 1 or passed < spans[0].end_at - spans[0].start_at:
        return {}
    passed_s = int(passed.total_seconds())
    return {now: spent_nano} | {
        n: spent_nano * int((span.end_at - spans[0].start_at).total_seconds()) // passed_s
        for n, span in enumerate(spans)
        if n > now
    }
