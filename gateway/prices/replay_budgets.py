"""Which budgets a replayed record counts towards, and which a draft would exceed.

Only windows that begin within the replayed time are judged, because earlier records were not read.
A record does not contain its labels, so budgets of projects, tags and end customers are left out.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast
from uuid import UUID

from billing.limits.budget_rules import WITHOUT_END, Period, window
from billing.limits.budget_subjects import subject_names
from billing.models import Budget, BudgetScope
from billing.periods.period_starts import Span
from billing.prices.name_patterns import matches

_SEEN: Final = (
    BudgetScope.ORGANISATION,
    BudgetScope.TEAM,
    BudgetScope.USER,
    BudgetScope.KEY,
    BudgetScope.MODEL,
)


class ReplayBudgets:
    """The budgets of a replay that begins at `start_at`."""

    def __init__(self, start_at: dt.datetime) -> None:
        self._start_at = start_at
        self._budgets: dict[tuple[UUID, str, str], list[Budget]] = {}
        self._patterns: dict[UUID, list[Budget]] = {}
        self._spans: dict[int, Span] = {}
        for budget in Budget.objects.filter(enabled=True, scope__in=_SEEN).exclude(
            period__in=WITHOUT_END
        ):
            if budget.scope == BudgetScope.MODEL and "*" in budget.subject:
                self._patterns.setdefault(budget.organisation_id, []).append(budget)
                continue
            key = (budget.organisation_id, str(budget.scope), budget.subject)
            self._budgets.setdefault(key, []).append(budget)

    def windows(
        self,
        organisation_id: UUID,
        subjects: Mapping[str, str],
        admitted_at: dt.datetime,
    ) -> Iterator[str]:
        """Yield the windows that a record counts towards, as `budget id|start`. `subjects` are its
        key, person, team and model by scope."""
        if not self._budgets and not self._patterns:
            return
        for scope, subject in subjects.items():
            for budget in self._budgets.get((organisation_id, scope, subject), ()):
                yield from self._window(budget, admitted_at)
        for budget in self._patterns.get(organisation_id, ()):
            if matches(budget.subject, subjects["model"]):
                yield from self._window(budget, admitted_at)

    def _window(self, budget: Budget, at: dt.datetime) -> Iterator[str]:
        span = self._spans.get(budget.id)
        if span is None or not span.start_at <= at < span.end_at:
            span = window(cast(Period, budget.period), budget.anchor, budget.timezone, at)
            self._spans[budget.id] = span
        if span.start_at >= self._start_at:
            yield f"{budget.id}|{span.start_at.isoformat()}"


def crossed_windows(windows: Mapping[str, list[int]]) -> list[dict[str, Any]]:
    """Return the windows whose charges are within their budget now and would not be at the
    draft."""
    spans = {
        (int(id), begins): charges
        for (id, begins), charges in ((name.split("|", 1), windows[name]) for name in windows)
    }
    budgets = Budget.objects.select_related("organisation").in_bulk({id for id, _ in spans})
    names = subject_names(list(budgets.values()))
    crossings = []
    for (id, begins), (now_nano, draft_nano) in sorted(spans.items()):
        budget = budgets.get(id)
        if budget is None or not now_nano <= budget.amount_nano < draft_nano:
            continue
        crossings.append(
            {
                "organisation": budget.organisation.name,
                "scope": budget.scope,
                "subject": names.get(budget.id, budget.subject),
                "begins": begins,
                "amount_nano": budget.amount_nano,
                "now_nano": now_nano,
                "draft_nano": draft_nano,
            }
        )
    return crossings
