"""What budgets apply to: their subjects as API and pages name them."""

from collections.abc import Sequence
from uuid import UUID

from django.utils.translation import gettext

from accounts.models import Key, Team, User
from billing.models import Budget, BudgetScope
from lib.ids import id_text


def subjects_by_budget(budgets: Sequence[Budget]) -> dict[int, str]:
    """Return the subject of each budget, by the budget's id, in the form that `find_subject` takes:
    a team's slug, a key's id, a person's address."""
    teams = Team.objects.filter(id__in=_subjects(budgets, BudgetScope.TEAM))
    users = User.objects.filter(id__in=_subjects(budgets, BudgetScope.USER))
    subjects = {
        **{(BudgetScope.TEAM, str(team.id)): team.slug for team in teams},
        **{
            (BudgetScope.KEY, key): id_text(UUID(key))
            for key in _subjects(budgets, BudgetScope.KEY)
        },
        **{(BudgetScope.USER, str(user.id)): user.email for user in users},
    }
    return {
        budget.id: subjects.get((BudgetScope(budget.scope), budget.subject), budget.subject)
        for budget in budgets
    }


def subject_names(budgets: Sequence[Budget]) -> dict[int, str]:
    """Return the display name of each budget's subject, by the budget's id."""
    teams = Team.objects.filter(id__in=_subjects(budgets, BudgetScope.TEAM))
    keys = Key.objects.filter(id__in=_subjects(budgets, BudgetScope.KEY))
    users = User.objects.filter(id__in=_subjects(budgets, BudgetScope.USER))
    names = {
        **{(BudgetScope.TEAM, str(team.id)): team.name for team in teams},
        **{(BudgetScope.KEY, str(key.id)): key.name for key in keys},
        **{(BudgetScope.USER, str(user.id)): user.name or user.email for user in users},
    }
    names[BudgetScope.END_USER, ""] = gettext("Each end user")
    return {
        budget.id: names.get((BudgetScope(budget.scope), budget.subject), budget.subject)
        for budget in budgets
    }


def _subjects(budgets: Sequence[Budget], scope: BudgetScope) -> list[str]:
    return [budget.subject for budget in budgets if budget.scope == scope]
