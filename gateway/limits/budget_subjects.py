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
from accounts.members.access import named_members
from accounts.models import Key, KeyKind
from accounts.names.labels import is_label
from accounts.roles.rules import Action
from billing.models import BudgetScope
from gateway.listed_models.model_choices import offered_names
from lib.forms.picker import CHOICES_MAX, Choice, answer_choices, typed_text
from lib.ids import id_text, parse_id


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
        teams = access.visible_teams(actor).filter(slug__in=values)
        names = dict(teams.values_list("slug", "name"))
    elif scope == BudgetScope.PROJECT:
        projects = access.visible_projects(actor).filter(slug__in=values)
        names = dict(projects.values_list("slug", "name"))
    elif scope == BudgetScope.USER:
        people = named_members(actor).filter(user__email__in=values)
        names = {member.user.email: member.user.name for member in people if member.user.name}
    elif scope == BudgetScope.KEY and access.scope_of(actor, "keys.read") is not None:
        ids = [id for value in values if (id := parse_id(value))]
        keys = access.visible_keys(actor).filter(id__in=ids)
        names = {id_text(key.id): key.name for key in keys}
    return [Choice(value, names.get(value, value)) for value in values]


def _teams(actor: Actor, text: str) -> list[Choice]:
    teams = access.visible_teams(actor).filter(archived_at=None, name__icontains=text)
    return [
        Choice(team.slug, team.name, "" if team.slug == team.name else team.slug)
        for team in teams[:CHOICES_MAX]
    ]


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


def _keys(actor: Actor, text: str) -> list[Choice]:
    keys = access.visible_keys(actor).filter(revoked_at=None, kind=KeyKind.RELAY)
    if text:
        keys = keys.filter(Q(name__icontains=text) | Q(prefix__startswith=text) | Q(last4=text))
    rows = keys.prefetch_related(None)[:CHOICES_MAX]
    return [Choice(id_text(key.id), key.name, _place(key)) for key in rows]


def _place(key: Key) -> str:
    """Return the team and the end of the secret, because names of keys are not unique."""
    return f"{key.team.name} · {key.prefix}…{key.last4}"


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
    BudgetScope.TEAM: _teams,
    BudgetScope.USER: _people,
    BudgetScope.KEY: _keys,
    BudgetScope.MODEL: _models,
    BudgetScope.PROJECT: _projects,
    BudgetScope.TAG: _labels,
    BudgetScope.CUSTOMER: _labels,
}
