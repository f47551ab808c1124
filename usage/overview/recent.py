"""Usage of the last thirty days, for the pages of a key, a team and a member."""

from typing import Any

from django.utils.translation import gettext

from accounts.access.actors import Actor
from lib import clock
from usage.filters import filters
from usage.filters.filters import Scope, UsageFilter
from usage.overview.views import chart_of, rows_url
from usage.reports import reports


def last_days(actor: Actor, scope: Scope) -> UsageFilter:
    usage_filter = filters.from_query({"range": ["30d"]}, clock.now(), channels=actor.operator)
    return filters.narrow_filter(usage_filter, scope)


def describe_last_days(actor: Actor, days: UsageFilter) -> dict[str, Any]:
    """Return the totals of the last days and of the thirty days before, and a chart if anything was
    used."""
    total = reports.usage_totals(actor, days.span, days.scope, metered=False)
    context: dict[str, Any] = {
        "asked": days,
        "total": total,
        "before": reports.usage_totals(actor, days.previous, days.scope, metered=False),
        "rows_url": rows_url(actor, days),
        "failed_url": rows_url(actor, days, status="error"),
    }
    if total.requests or total.charge_nano:
        context["chart"] = chart_of(days, reports.series(actor, days), actor)
        context["chart_title"] = gettext("Cost per day by model")
    return context
