"""Budget alerts: sent once per period, limit and share, even with several workers (W53).

Windows are checked every few seconds, independently of requests. A window that has just ended is
checked for a while too, so that its last seconds count. One hundred percent also counts as reached
when the budget refuses a request, because the remainder is hardly ever exactly zero. A budget per
session sends no alerts: its client gets the refusal, and there is one window for every session. For
the same reason, neither does a budget of each end user.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.utils.translation import gettext

from accounts.access.access import AccessDenied
from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.models import Key
from billing.currency.money import format_usd
from billing.limits import budgets
from billing.limits.budget_subjects import subject_names
from billing.models import Budget, BudgetAlert, BudgetAlertKind, BudgetPeriod, BudgetScope
from outbox.facts import put

LISTED: Final = 20

_KINDS: Final = {
    BudgetAlertKind.REACHED: "budget.reached",
    BudgetAlertKind.FORECAST: "budget.forecast",
    BudgetAlertKind.TEST: "budget.tested",
}


def send_budget_alerts() -> int:
    """Send the alerts that are due. Return how many."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            # A second worker waits here for the first, and then finds its alerts.
            cursor.execute(_MARK)
            ids = [id for (id,) in cursor.fetchall()]
        alerts = BudgetAlert.objects.select_related("budget__organisation").filter(id__in=ids)
        _publish_alerts(list(alerts.order_by("budget_id", "percent")))
    return len(ids)


def send_test(actor: Actor, budget: Budget) -> BudgetAlert:
    """Send a test alert to everybody who would receive alerts for this budget. Raises AccessDenied
    if the actor may set no such budget, and BudgetRefused for a budget that sends no alerts."""
    if not budgets.may_test_alerts(actor, budget):
        raise AccessDenied(gettext("You can only see this budget."))
    if budget.period == BudgetPeriod.SESSION:
        raise budgets.BudgetRefused("period", gettext("A budget per session sends no alerts."))
    if budget.scope == BudgetScope.END_USER:
        raise budgets.BudgetRefused("scope", gettext("A budget of each end user sends no alerts."))
    (usage,) = budgets.current_usage([budget])
    with transaction.atomic():
        alert = BudgetAlert.objects.create(
            budget=budget, kind=BudgetAlertKind.TEST, starts_at=usage.span.start_at,
            limit_nano=usage.limit_nano, spent_nano=usage.spent_nano,
        )  # fmt: skip
        _publish_alerts([alert])
        audit.record(actor, budget.organisation, "budget.alert_tested", budget)
    return alert


def alerts_of(budget: Budget) -> list[BudgetAlert]:
    """Return the recent alerts of a budget, newest first."""
    return list(budget.alerts.order_by("-id")[:LISTED])


def alert_facts(usage: budgets.BudgetUsage, name: str) -> dict[str, Any]:
    """Return the facts of an alert: money as decimal strings, `name` is the budget's subject."""
    budget = usage.budget
    return {
        "budget": str(budget.id),
        "scope": str(budget.scope),
        "subject": name,
        "period": str(budget.period),
        "limit": format_usd(usage.limit_nano),
        "spent": format_usd(usage.spent_nano),
        "currency": budget.organisation.currency,
        "action": str(budget.action),
        "resets_at": usage.resets_at.isoformat() if usage.resets_at else None,
    }


def people_of(budget: Budget) -> list[int]:
    """Return the ids of the people whom the budget concerns, in addition to those who manage all
    budgets."""
    if budget.scope == BudgetScope.USER:
        return [int(budget.subject)]
    if budget.scope == BudgetScope.KEY:
        owners = Key.objects.filter(id=budget.subject).exclude(user=None)
        return list(owners.values_list("user_id", flat=True))
    return []


def team_of(budget: Budget) -> UUID | None:
    """Return the team of a team's or key's budget. People who are limited to teams see no other
    budgets by their role (`budgets.visible_budgets`)."""
    if budget.scope == BudgetScope.TEAM:
        return UUID(budget.subject)
    if budget.scope == BudgetScope.KEY:
        return Key.objects.filter(id=budget.subject).values_list("team_id", flat=True).first()
    return None


def _publish_alerts(alerts: Sequence[BudgetAlert]) -> None:
    alerted = [alert.budget for alert in alerts]
    names = subject_names(alerted)
    standings = {usage.budget.id: usage for usage in budgets.current_usage(alerted)}
    for alert in alerts:
        usage = standings[alert.budget_id]
        body = alert_facts(usage, names[alert.budget_id])
        percent = alert.spent_nano * 100 // alert.limit_nano if alert.limit_nano else 100
        body |= {
            "limit": format_usd(alert.limit_nano),
            "spent": format_usd(alert.spent_nano),
            "spent_percent": percent,
            "threshold": alert.percent,
            "period_began": alert.starts_at.isoformat(),
        }
        if alert.kind == BudgetAlertKind.FORECAST and usage.forecast_at is not None:
            body["forecast_at"] = usage.forecast_at.isoformat()
        kind = _KINDS[BudgetAlertKind(alert.kind)]
        people = people_of(alert.budget)
        alert.fact_id = put(
            kind, alert.budget.organisation_id, team_of(alert.budget), people=people, **body
        )
    BudgetAlert.objects.bulk_update(alerts, ["fact_id"])


_FORGIVEN: Final = dt.timedelta(minutes=15)
# A forecast of less than a tenth of the period is ignored.
_MARK: Final = f"""
    WITH stands AS (
        SELECT budget.id, budget.alert_percents, budget.alert_forecast, budget.period,
               window_.starts_at, window_.ends_at, window_.spent_nano,
               window_.refused_at IS NOT NULL AND budget.action = 'block' AS refusing,
               budget.amount_nano + CASE WHEN budget.raised_until > statement_timestamp()
                   THEN budget.raised_nano ELSE 0 END AS limit_nano,
               extract(epoch FROM window_.ends_at - window_.starts_at) AS whole_s,
               extract(epoch FROM statement_timestamp() - window_.starts_at) AS passed_s
        FROM billing_budgetwindow window_ JOIN billing_budget budget ON budget.id = budget_id
        WHERE window_.session_id IS NULL AND budget.scope <> 'end_user'
          AND window_.ends_at > statement_timestamp() - interval '{_FORGIVEN.seconds} seconds'
          AND window_.starts_at <= statement_timestamp() AND budget.enabled
    ),
    reached AS (
        SELECT id, 'reached' AS kind, percent, starts_at, limit_nano, spent_nano
        FROM stands, unnest(alert_percents) AS percent
        WHERE limit_nano > 0 AND spent_nano::numeric * 100 >= limit_nano::numeric * percent
           OR percent = 100 AND refusing
        UNION ALL
        SELECT id, 'forecast', NULL, starts_at, limit_nano, spent_nano
        FROM stands
        WHERE alert_forecast AND period <> 'total' AND ends_at > statement_timestamp()
          AND spent_nano < limit_nano AND passed_s * 10 >= whole_s
          AND spent_nano * whole_s > limit_nano * passed_s
    )
    INSERT INTO billing_budgetalert (budget_id, kind, percent, starts_at, limit_nano, spent_nano)
    SELECT id, kind, percent, starts_at, limit_nano, spent_nano FROM reached
    WHERE NOT EXISTS (
        SELECT FROM billing_budgetalert told
        WHERE told.budget_id = reached.id AND told.starts_at = reached.starts_at
          AND told.limit_nano = reached.limit_nano AND told.kind = reached.kind
          AND told.percent IS NOT DISTINCT FROM reached.percent
    )
    ORDER BY id, percent
    ON CONFLICT DO NOTHING
    RETURNING id"""  # noqa: S608 - only a constant is put in
