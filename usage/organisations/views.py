"""The list of organisations, for operators (W75). Pages of teams (W52): the list, and a team with
its projects and settings."""

from typing import Any
from uuid import UUID

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.access import access
from accounts.access.actors import Actor, organisation_of, slug_of
from accounts.guards.guards import operator_page, organisation_page
from accounts.members import team_members
from accounts.members.forms import role_label
from accounts.members.members import member_counts
from accounts.models import Organisation, Team
from accounts.preferences.table_preferences import read_table
from accounts.single_sign_on.single_sign_on import (
    organisations_with_confirmed_domains,
    organisations_with_unconfirmed_domains,
)
from billing.balances.balances import balance
from billing.limits import budgets
from billing.models import Budget, BudgetScope
from billing.price_plans.price_plans import price_plan_names
from lib.ids import id_text
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource, QuerySource
from lib.tables.table import Badge, Column, Filter, Table
from usage.filters import filters
from usage.keys.last_use import use_of_keys
from usage.keys.views import badge_of, owner_of
from usage.limits.effective_limits import effective_settings
from usage.limits.views import budgets_panel
from usage.organisations.recent_use import month_spending, month_spending_of
from usage.overview.recent import describe_last_days, last_days

_KEYS_SHOWN = 20

_ACTIVE, _ARCHIVED = Badge(_("Active"), "ok"), Badge(_("Archived"), icon="archive")
TEAMS = Table(
    "teams",
    _("Teams"),
    (
        Column("name", _("Name"), value="team.name", sort=True, card="title"),
        Column("state", _("Status"), "badge", value="badge", sort="badge.text", card="first"),
        Column("members", _("Members"), "number", sort=True, priority=2, card="second"),
        Column("keys", _("Active keys"), "number", sort=True, priority=2),
        Column("projects", _("Projects"), "number", sort=True, priority=3),
        Column("spent", _("Spend this month"), "total", sort=True, card="money"),
        Column("created", _("Created"), "ago", value="team.created_at", sort=True, chosen=False),
    ),
    default_sort="name",
    key="team.id",
    filters=(
        Filter("q", _("Name"), "search"),
        Filter(
            "state",
            _("Status"),
            choices=(("active", _("Active")), ("archived", _("Archived")), ("all", _("All"))),
            default="active",
        ),
    ),
    href="href",
)


@organisation_page("teams.read")
@require_safe
def team_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(TEAMS, request, actor)
    wanted = state.value("state")
    text = state.value("q").casefold()
    rows = [
        row
        for row in _team_rows(actor)
        if text in row["team"].name.casefold()
        and (wanted == "all" or (row["team"].archived_at is not None) == (wanted == "archived"))
    ]
    may_write = access.scope_of(actor, "teams.write") is not None
    context = {"may_write": may_write, "may_create": may_write and actor.teams is None}
    templates = ("usage/organisations/teams.html", "usage/organisations/_teams.html")
    return answer_table(request, state, ListSource(rows), templates, context)


def _team_rows(actor: Actor) -> list[dict[str, Any]]:
    living = access.works_now("keys__") & ~Q(keys__kind="playground")
    teams = access.visible_teams(actor).annotate(
        key_count=Count("keys", filter=living, distinct=True),
        project_count=Count("projects", filter=Q(projects__archived_at=None), distinct=True),
    )
    spent = month_spending(actor, "team_id")
    everywhere, within = _members(actor)
    return [
        {
            "team": team,
            "href": reverse("team", args=[slug_of(actor), team.slug]),
            "badge": _ARCHIVED if team.archived_at else _ACTIVE,
            "members": everywhere + within.get(team.id, 0),
            "keys": team.key_count,
            "projects": team.project_count,
            "spent": spent.get(team.id, 0),
        }
        for team in teams
    ]


def _members(actor: Actor) -> tuple[int, dict[UUID, int]]:
    """Return how many people are in every team, and how many more are in each team."""
    members = organisation_of(actor).memberships.filter(user__is_active=True)
    chosen = members.filter(all_teams=False).values_list("teams").annotate(n=Count("id"))
    return members.filter(all_teams=True).count(), {team: n for team, n in chosen if team}


@organisation_page("teams.read")
@require_safe
def team_page(request: HttpRequest, actor: Actor, team: str) -> HttpResponseBase:
    row = access.access_any_team(actor, team)
    active = row.archived_at is None
    context = {
        "team": row,
        "may_write": access.scope_of(actor, "teams.write") is not None,
        "may_budget": active and _may_budget(actor, row),
        "may_create_key": active and access.scope_of(actor, "keys.write_own") is not None,
        "may_add": active and access.reaches_team(actor, "team_members.write", row.id),
        **budgets_panel(actor, BudgetScope.TEAM, str(row.id)),
        "members": _members_of(actor, row),
        "projects": _projects(actor, row),
        "spent": month_spending(actor, "team_id").get(row.id, 0),
        "settings": effective_settings(actor, team=row),
        **_keys(actor, row),
        **_usage(actor, row),
    }
    return render(request, "usage/organisations/team.html", context)


def _may_budget(actor: Actor, team: Team) -> bool:
    return budgets.may_write(actor, Budget(scope=BudgetScope.TEAM, subject=str(team.id)))


def _usage(actor: Actor, team: Team) -> dict[str, Any]:
    """Return the chart of what the actor sees of the team's usage."""
    if access.scope_of(actor, "usage.read") is None:
        return {"may_see_usage": False}
    days = last_days(actor, filters.scope_of_team(team.slug))
    return {"may_see_usage": True, **describe_last_days(actor, days)}


def _members_of(actor: Actor, team: Team) -> list[dict[str, Any]] | None:
    """Return the people of the team, or None for readers who may see only themselves."""
    may_open = access.scope_of(actor, "members.read") in ("teams", "all")
    may_change = access.reaches_team(actor, "team_members.write", team.id)
    if not may_open and not may_change:
        return None
    may_manage = access.scope_of(actor, "teams.write") is not None
    return [
        {
            "id": member.pk,
            "name": member.user.name or member.user.email,
            "role": role_label(member),
            "email": member.user.email,
            "everywhere": member.all_teams,
            "leads": team.id in member.leads,
            "may_open": may_open or member.user == actor.user,
            "may_lead": may_manage
            and (team.id in member.leads or team_members.may_lead(team, member)),
            "may_remove": may_change and not team_members.removal_refusal(actor, team, member),
        }
        for member in team_members.members_of(team)
    ]


def _keys(actor: Actor, team: Team) -> dict[str, Any]:
    """Return the newest keys of the team that the actor may see, and how many there are."""
    if access.scope_of(actor, "keys.read") is None:
        return {"keys": None}
    living = access.visible_keys(actor).filter(team=team, revoked_at=None)
    newest = list(living[:_KEYS_SHOWN])
    uses = use_of_keys(actor, newest)
    return {
        "key_count": living.count(),
        "keys": [
            {
                "name": key.name,
                "href": reverse("key", args=[slug_of(actor), id_text(key.id)]),
                "owner": owner_of(key),
                "badge": badge_of(key),
                "use": uses[key.id],
            }
            for key in newest
        ],
    }


def _projects(actor: Actor, team: Team) -> list[dict[str, Any]]:
    projects = access.visible_projects(actor).filter(team=team)
    return [
        {
            "project": project,
            "id": id_text(project.id),
            "keys": project.keys.filter(revoked_at=None).count(),
        }
        for project in projects
    ]


_STATES = {
    "active": Badge(_("Active"), "ok"),
    "suspended": Badge(_("Suspended"), "bad", "pause"),
    "archived": Badge(_("Archived"), icon="archive"),
}
_IN_STATE = {
    "active": Q(archived_at=None, suspended_at=None),
    "suspended": Q(archived_at=None, suspended_at__isnull=False),
    "archived": Q(archived_at__isnull=False),
    "all": Q(),
}
ORGANISATIONS = Table(
    "organisations",
    _("Organisations"),
    (
        Column("name", _("Name"), card="title"),
        Column("state", _("Status"), "badge", value="badge", card="first"),
        Column("plan", _("Price plan"), priority=3),
        Column("members", _("Members"), "number", priority=2, card="second"),
        Column("balance", _("Balance"), "total", card="money"),
        Column("spent", _("Spend this month"), "total", priority=2),
        Column("created", _("Created"), "ago", value="created_at", sort="id", card="last"),
    ),
    default_sort="-created",
    filters=(
        Filter("q", _("Name"), "search"),
        Filter(
            "state",
            _("Status"),
            choices=(
                *((name, badge.text) for name, badge in _STATES.items()),
                ("all", _("All")),
            ),
            default="all",
        ),
    ),
    href="href",
    big=True,
)


@operator_page("organisations.read")
@require_safe
def organisation_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(ORGANISATIONS, request, actor)
    rows = access.all_organisations(actor).filter(_IN_STATE[state.value("state") or "all"])
    if state.value("q"):
        text = state.value("q")
        rows = rows.filter(Q(name__icontains=text) | Q(slug__icontains=text))
    templates = (
        "usage/organisations/organisations.html",
        "usage/organisations/_organisations.html",
    )
    context = {
        "may_write": access.scope_of(actor, "organisations.write") is not None,
        "may_charge": access.scope_of(actor, "credits.write") is not None,
    }
    return answer_table(request, state, QuerySource(rows), templates, context, _organisation_rows)


def _organisation_rows(page: list[Organisation]) -> list[dict[str, Any]]:
    ids = [organisation.id for organisation in page]
    spent = month_spending_of(ids)
    plans = price_plan_names(ids)
    members = member_counts(ids)
    unconfirmed = organisations_with_unconfirmed_domains(ids)
    confirmed = organisations_with_confirmed_domains(ids)
    return [
        {
            "id": organisation.id,
            "organisation": organisation,
            "href": reverse("home", args=[organisation.slug])
            if organisation.archived_at is None
            else "",
            "name": organisation.name,
            "badge": _STATES[state_of(organisation)],
            "state": state_of(organisation),
            "unconfirmed": organisation.id in unconfirmed,
            "confirmed": organisation.id in confirmed,
            "plan": plans.get(organisation.id, _("Standard")),
            "members": members.get(organisation.id, 0),
            "balance": balance(organisation).free_nano,
            "spent": spent.get(organisation.id, 0),
            "created_at": organisation.created_at,
        }
        for organisation in page
    ]


def state_of(organisation: Organisation) -> str:
    """Return `active`, `suspended` or `archived`."""
    if organisation.archived_at is not None:
        return "archived"
    return "active" if organisation.suspended_at is None else "suspended"
