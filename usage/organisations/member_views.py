"""Pages of members (W51): the people of an organisation, their roles and their spending."""

from dataclasses import replace
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.access import access
from accounts.access.actors import Actor, slug_of
from accounts.access.entry_requirements import people_with_factor
from accounts.guards.guards import organisation_page
from accounts.members import access as member_access
from accounts.members.forms import role_label
from accounts.members.invitation_views import teams_text
from accounts.members.members import authority_of
from accounts.models import Membership, Role
from accounts.organisations.operator_views import factor_badge
from accounts.preferences.table_preferences import read_table
from accounts.roles.words import permission_groups
from billing.models import BudgetScope
from lib.ids import id_text
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Badge, Choices, Column, Filter, Table
from usage.filters import filters
from usage.keys.last_use import use_of_keys
from usage.keys.views import badge_of
from usage.limits.views import budgets_panel
from usage.organisations.recent_use import NO_USE, MemberUse, use_of_members
from usage.overview.recent import describe_last_days, last_days

_BADGES = {
    "active": Badge(_("Active"), "ok"),
    "new": Badge(_("Never signed in"), "info", icon="clock"),
    "deactivated": Badge(_("Deactivated"), icon="ban"),
}
MEMBERS = Table(
    "members",
    _("Members"),
    (
        Column("name", _("Name"), sort=True, card="title"),
        Column("email", _("Email"), sort=True, priority=2),
        Column("role", _("Role"), sort="rank", card="first"),
        Column("teams", _("Teams"), priority=3),
        Column("state", _("Status"), "badge", value="badge", priority=3),
        Column("second_factor", _("Two-factor"), "badge", priority=4),
        Column("last", _("Last active"), "ago", sort=True, priority=2, card="last"),
        Column("spent", _("This month"), "total", value="use.spent_nano", sort=True, card="money"),
        Column("keys", _("API keys"), "number", sort=True, priority=4),
        Column("joined", _("Joined"), "time", value="member.created_at", sort=True, chosen=False),
    ),
    default_sort="name",
    key="id",
    filters=(
        Filter("q", _("Name or email"), "search"),
        Filter("role", _("Role")),
        Filter("team", _("Team")),
        Filter(
            "state",
            _("Status"),
            choices=(("", _("Any status")), *((key, one.text) for key, one in _BADGES.items())),
        ),
    ),
    href="href",
    bulk=(),
)
_OF_OTHERS = ("email", "state", "last", "spent", "keys", "joined")
_RANKS = {str(role): n for n, role in enumerate(Role)}


@organisation_page("members.read")
@require_safe
def member_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    own_only = access.scope_of(actor, "members.read") == "own"
    may_write = access.scope_of(actor, "members.write") is not None
    state = read_table(
        MEMBERS,
        request,
        actor,
        hidden=_hidden_columns(own_only=own_only, may_write=may_write),
        choices={"role": _role_choices(actor), "team": _team_choices(actor)},
    )
    rows = [
        row for row in _member_rows(actor, own_only=own_only) if _matches_filter(row, state.value)
    ]
    context = {
        "own_only": own_only,
        "may_write": may_write,
        "alone": len(rows) == 1 and not state.filtered,
        "roles": [
            (id_text(custom.id) if custom else str(role), role_label(custom or role))
            for role, custom in (member_access.assignable_roles(actor) if may_write else ())
        ],
        "bulk_url": reverse("members_bulk", args=[slug_of(actor)]) if may_write else "",
    }
    templates = ("usage/organisations/members.html", "usage/organisations/_members.html")
    return answer_table(request, state, ListSource(rows), templates, context)


def _hidden_columns(*, own_only: bool, may_write: bool) -> tuple[str, ...]:
    """Return the hidden columns. Only readers who may change members see which accounts have a
    second factor."""
    if own_only:
        return (*_OF_OTHERS, "second_factor")
    return () if may_write else ("second_factor",)


def _role_choices(actor: Actor) -> Choices:
    own = [(id_text(role.id), role.name) for role in member_access.visible_roles(actor)]
    built_in = [(str(role), role_label(role)) for role in Role if role != Role.CUSTOM]
    return [("", _("Any role")), *built_in, *own]


def _team_choices(actor: Actor) -> Choices:
    teams = access.visible_teams(actor).filter(archived_at=None)
    choices = [(team.slug, team.name) for team in teams]
    return [("", _("Any team")), *choices] if len(choices) > 1 else [("", _("Any team"))]


def _member_rows(actor: Actor, *, own_only: bool) -> list[dict[str, Any]]:
    """Return everybody whose name the actor may see, with the columns that it may see."""
    members = list(member_access.named_members(actor))
    uses = use_of_members(actor, [member.user_id for member in members])
    keys = _key_counts(actor)
    secured = people_with_factor(member.user_id for member in members)
    return [
        _member_row(actor, member, uses.get(member.user_id, NO_USE), keys.get(member.user_id, 0))
        | {"second_factor": factor_badge(member.user_id in secured)}
        | ({"href": ""} if own_only and member.user != actor.user else {})
        for member in members
    ]


def _member_row(actor: Actor, member: Membership, use: MemberUse, keys: int) -> dict[str, Any]:
    user = member.user
    may_change = member_access.may_change_member(actor, member)
    seen = [at for at in (user.last_login, use.last_at) if at is not None]
    state = "active" if user.is_active else "deactivated"
    if user.is_active and not seen:
        state = "new"
    return {
        "id": member.pk,
        "member": member,
        "name": user.name or user.email,
        "email": user.email,
        "role": role_label(member),
        "rank": _RANKS[str(member.role)],
        "role_value": id_text(member.custom_role_id) if member.custom_role_id else member.role,
        "team_slugs": None if member.all_teams else {team.slug for team in member.teams.all()},
        "teams": teams_text(member),
        "state": state,
        "badge": _BADGES[state],
        "last": max(seen, default=None),
        "use": use,
        "keys": keys,
        "href": reverse("member", args=[slug_of(actor), member.pk]),
        "may_change": may_change,
        "oneself": user == actor.user,
    }


def _matches_filter(row: dict[str, Any], value: Any) -> bool:
    slugs = row["team_slugs"]
    return (
        value("q").casefold() in f"{row['name']} {row['email']}".casefold()
        and value("role") in ("", row["role_value"])
        and (not value("team") or slugs is None or value("team") in slugs)
        and value("state") in ("", row["state"])
    )


def _key_counts(actor: Actor) -> dict[int, int]:
    """Return how many unrevoked keys each person has, as far as the actor may list them."""
    counts: dict[int, int] = {}
    if access.scope_of(actor, "keys.read") is None:
        return counts
    for user in access.visible_keys(actor).filter(revoked_at=None).values_list("user", flat=True):
        if user is not None:
            counts[user] = counts.get(user, 0) + 1
    return counts


# One person ------------------------------------------------------------------------------------


@organisation_page("members.read")
@require_safe
def member_page(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    member = member_access.access_member(actor, id)
    use = use_of_members(actor, [member.user_id]).get(member.user_id, NO_USE)
    keys = _keys_of(actor, member)
    context = {
        **_member_row(actor, member, use, len(keys)),
        "groups": permission_groups(replace(authority_of(member), leads=frozenset())),
        "leads": access.visible_teams(actor).filter(id__in=member.leads).order_by("name"),
        "keys": keys,
        "living": [id_text(one["key"].id) for one in keys if not one["key"].disabled],
        "may_disable": access.scope_of(actor, "keys.write") is not None,
        **budgets_panel(actor, BudgetScope.USER, str(member.user_id)),
        **_usage(actor, member),
        "may_budget": access.scope_of(actor, "budgets.write") is not None,
        "may_see_limits": access.scope_of(actor, "budgets.read") == "all",
        "user_query": quote(member.user.email),
        "may_erase": actor.role == Role.OWNER,
    }
    return render(request, "usage/organisations/member.html", context)


def _keys_of(actor: Actor, member: Membership) -> list[dict[str, Any]]:
    if access.scope_of(actor, "keys.read") is None:
        return []
    keys = list(access.visible_keys(actor).filter(user=member.user, revoked_at=None))
    uses = use_of_keys(actor, keys)
    return [
        {
            "key": key,
            "href": reverse("key", args=[slug_of(actor), id_text(key.id)]),
            "badge": badge_of(key),
            "use": uses[key.id],
        }
        for key in keys
    ]


def _usage(actor: Actor, member: Membership) -> dict[str, Any]:
    """Return the chart of what the actor sees of the person's usage."""
    if access.scope_of(actor, "usage.read") is None:
        return {"may_see_usage": False}
    days = last_days(actor, filters.scope_of_person(member.user.email))
    return {"may_see_usage": True, **describe_last_days(actor, days)}
