"""The subjects that a budget can have, as the choices of a field: one list for each scope."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from accounts.access import access
from accounts.access.actors import Actor
from accounts.guards.guards import organisation_page
from accounts.keys.choices import key_choices, key_names, team_choices, team_names
from accounts.members.access import named_members
from accounts.names.labels import is_label
from accounts.roles.rules import Action
from billing.models import BudgetScope
from gateway.listed_models.model_choices import offered_names
from lib.forms.picker import CHOICES_MAX, Choice, answer_choices, typed_text


@organisation_page("budgets.write")
@require_safe
def budget_subject_choices(request: HttpRequest, actor: Actor) -> HttpResponse:
    scope = request.GET.get("scope", "")
    action = _ACTIONS.get(scope)
    sees = action is None or access.scope_of(actor, action) is not None
    search = _SEARCHES.get(scope) if sees else None
    choices = search(actor, typed_text(request)) if search else ()
    return answer_choices(request, choices, gettext("Nothing matches."))


def describe_subject(actor: Actor, scope: str, values: Sequence[str]) -> list[Choice]:
    """Return descriptions of the chosen values: the name of a team, project, person or key, or the
    models that a pattern matches."""
    if scope == BudgetScope.MODEL:
        return offered_names(actor).describe(values)
    names: dict[str, str] = {}
    if scope == BudgetScope.TEAM:
        names = team_names(actor, values)
    elif scope == BudgetScope.PROJECT:
        projects = access.visible_projects(actor).filter(slug__in=values)
        names = dict(projects.values_list("slug", "name"))
    elif scope == BudgetScope.USER:
        people = named_members(actor).filter(user__email__in=values)
        names = {member.user.email: member.user.name for member in people if member.user.name}
    elif scope == BudgetScope.KEY:
        names = key_names(actor, values)
    return [Choice(value, names.get(value, value)) for value in values]


def _projects(actor: Actor, text: str) -> list[Choice]:
    projects = access.visible_projects(actor).filter(archived_at=None, name__icontains=text)
    return [
        Choice(project.slug, project.name, project.team.name) for project in projects[:CHOICES_MAX]
    ] + _labels(actor, text)


def _people(actor: Actor, text: str) -> list[Choice]:
    named = Q(user__name__icontains=text) | Q(user__email__icontains=text)
    members = named_members(actor).filter(named)[:CHOICES_MAX]
    return [
        Choice(member.user.email, member.user.name or member.user.email, member.user.email)
        for member in members
    ]


def _models(actor: Actor, text: str) -> Iterable[Choice]:
    return offered_names(actor).search(text)


def _labels(actor: Actor, text: str) -> list[Choice]:
    """Return the entered label too: a label does not have to have been used."""
    return [Choice(text, text, gettext("Requests with this label"))] if is_label(text) else []


_ACTIONS: Final[Mapping[str, Action]] = {
    BudgetScope.USER: "members.read",
    BudgetScope.KEY: "keys.read",
    BudgetScope.PROJECT: "teams.read",
}
"""The action that the actor must be allowed to see the names of a scope."""
_SEARCHES: Final[Mapping[str, Callable[[Actor, str], Iterable[Choice]]]] = {
    BudgetScope.TEAM: team_choices,
    BudgetScope.USER: _people,
    BudgetScope.KEY: key_choices,
    BudgetScope.MODEL: _models,
    BudgetScope.PROJECT: _projects,
    BudgetScope.TAG: _labels,
    BudgetScope.CUSTOMER: _labels,
}
