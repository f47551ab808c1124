"""The members of a team: one function per write.

A member has their role in each team that they are in. Nobody can add a member whose role in the
team exceeds their own there, or remove one whom they do not outrank there (P23).
"""

from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext

from accounts.access.access import get_by_id, require, scope_of
from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from accounts.members.members import (
    authority_of,
    check_grant,
    drop_strange_leads,
    role_and_teams,
)
from accounts.models import Membership, Organisation, Team
from accounts.roles.authority import Authority, first_action_beyond, outranks
from lib.ids import parse_number
from lib.refusal import Refused


def members_of(team: Team) -> QuerySet[Membership]:
    """Return the active people of a team by address, including those who are in every team."""
    people = _active(team).filter(Q(all_teams=True) | Q(teams=team))
    return people.distinct().order_by("user__email")


def members_led_by(actor: Actor) -> QuerySet[Membership]:
    """Return the active people of the teams that the actor leads."""
    people = Membership.objects.filter(organisation=actor.organisation, user__is_active=True)
    if not actor.leads:
        return people.none()
    in_teams = Q(all_teams=True) | Q(teams__in=actor.leads)
    return people.filter(in_teams).select_related("user").distinct()


def slugs_of_led(members: Iterable[Membership]) -> dict[UUID, str]:
    """Return the slugs of the teams that these members lead, by the team's id."""
    led = Team.objects.filter(id__in={id for member in members for id in member.leads})
    return dict(led.values_list("id", "slug"))


def sees_every_member(actor: Actor) -> bool:
    """Return whether the actor may see the members of every team. Everybody else adds a member by
    their address, which they have to know."""
    return scope_of(actor, "members.read") == "all"


def addable_members(actor: Actor, team: Team) -> list[Membership]:
    """Return the members of the organisation whom the actor may add to the team, by address; empty
    for an actor who may not see them."""
    require(actor, "team_members.write")
    if not sees_every_member(actor):
        return []
    others = _active(team).filter(all_teams=False).exclude(teams=team).order_by("user__email")
    return [member for member in others if _may_add(actor, team, member)]


def access_team_member(actor: Actor, team: Team, id: str) -> Membership:
    """Return one member of a team that the actor may change. Raises Http404."""
    require(actor, "teams.read")
    return get_by_id(members_of(team), parse_number(id))


def removal_refusal(actor: Actor, team: Team, member: Membership) -> str:
    """Return why the actor cannot remove a member from the team, or "". Everybody may remove
    themselves. A lead cannot remove another lead. Nobody is removed from their last team."""
    email = member.user.email
    if member.all_teams:
        text = gettext("%(email)s is in every team. Choose the teams on the member's page.")
        return text % {"email": email}
    if len(member.teams.all()) < 2:
        text = gettext("%(email)s is in no other team. Remove the member instead.")
        return text % {"email": email}
    as_lead = actor.authority.scope_by_role("team_members.write") is None
    leads = as_lead and team.pk in member.leads
    if member.user == actor.user or (
        not leads and outranks(actor.authority, _within(team, member))
    ):
        return ""
    return gettext("You cannot remove a member whose role can do as much as yours.")


def add_to_team(actor: Actor, team: Team, email: str) -> Membership:
    """Add the member with that address to a team. Raises Refused for anybody else, and for a member
    whose role would exceed the actor's there. An actor who may not see the organisation's members
    gets the same message for both."""
    with transaction.atomic():
        Organisation.objects.select_for_update(no_key=True).get(id=team.organisation_id)
        member = _active(team).filter(user__email__iexact=email).first()
        if not sees_every_member(actor) and not (member and _may_add(actor, team, member)):
            text = gettext("You cannot add this address. Ask an admin of the organisation.")
            raise Refused("email", text)
        if member is None:
            raise Refused("email", gettext("This person is not a member of the organisation."))
        if member in members_of(team):
            text = gettext("%(email)s is already in this team.") % {"email": member.user.email}
            raise Refused("email", text, already_exists=True)
        check_grant(actor, _within(team, member))
        before = role_and_teams(member)
        member.teams.add(team)
        _record(actor, member, before)
    return member


def remove_from_team(actor: Actor, team: Team, member: Membership) -> None:
    """Remove a member from a team; the member's keys of the team stop working. Raises Refused for a
    member of all teams, for the last team of a member, and for a member whom the actor does not
    outrank."""
    with transaction.atomic():
        Organisation.objects.select_for_update(no_key=True).get(id=team.organisation_id)
        member = get_object_or_404(_active(team), pk=member.pk)
        if refusal := removal_refusal(actor, team, member):
            raise Refused("member", refusal)
        before = role_and_teams(member)
        member.teams.remove(team)
        drop_strange_leads(member)
        _record(actor, member, before)


def may_lead(team: Team, member: Membership) -> bool:
    """Return whether a member would gain anything in the team as its lead."""
    return first_action_beyond(_lead_of(team), authority_of(member)) is not None


def set_lead(actor: Actor, team: Team, member: Membership, lead: bool) -> Membership:
    """Make a member the lead of a team, or end the lead. Raises Refused if the actor lacks a
    permission that leads have."""
    with transaction.atomic():
        Organisation.objects.select_for_update(no_key=True).get(id=team.organisation_id)
        member = get_object_or_404(members_of(team), pk=member.pk)
        check_grant(actor, _lead_of(team))
        before = role_and_teams(member)
        leads = {*member.leads, team.pk} if lead else {*member.leads} - {team.pk}
        if leads != {*member.leads}:
            member.leads = sorted(leads)
            member.save(update_fields=["leads"])
            _record(actor, member, before)
    return member


def _lead_of(team: Team) -> Authority:
    """Return the authority of the team's lead."""
    return Authority(teams=frozenset({team.pk}), leads=frozenset({team.pk}))


def _active(team: Team) -> QuerySet[Membership]:
    rows = Membership.objects.filter(organisation=team.organisation_id, user__is_active=True)
    return rows.select_related("user", "custom_role", "organisation").prefetch_related("teams")


def _within(team: Team, member: Membership) -> Authority:
    """Return a member's authority in a team."""
    own = authority_of(member)
    return replace(own, teams=frozenset({team.pk}), leads=own.leads & {team.pk})


def _may_add(actor: Actor, team: Team, member: Membership) -> bool:
    return first_action_beyond(_within(team, member), actor.authority) is None


def _record(actor: Actor, member: Membership, before: dict[str, object]) -> None:
    after = role_and_teams(member)
    audit.record(
        actor, member.organisation, "member.set", member.user, email=member.user.email,
        before=before, after=after,
    )  # fmt: skip
    bump_epoch()
