"""Which members, invitations and roles an actor may see, change or grant."""

from django.db.models import Q, QuerySet
from django.utils.translation import gettext

from accounts.access.access import (
    AccessDenied,
    get_by_id,
    require,
    scope_of,
    visible_teams,
    works_now,
)
from accounts.access.actors import Actor, authority_of
from accounts.members.invitations import offered_authority
from accounts.members.members import authority_of as authority_of_membership
from accounts.models import CustomRole, HasRole, Invitation, Key, Membership, Role, Team
from accounts.roles.authority import first_action_beyond, outranks
from lib.ids import parse_number

_BUILT_IN = (Role.OWNER, Role.ADMIN, Role.BILLING, Role.DEVELOPER, Role.VIEWER)


# Members ----------------------------------------------------------------------------------------


def visible_members(actor: Actor) -> QuerySet[Membership]:
    """Return the members whom the actor may see, oldest first: all, those in its teams, or only
    itself."""
    require(actor, "members.read")
    scope = scope_of(actor, "members.read")
    rows = _colleagues(actor)
    return rows.filter(user=actor.user) if scope == "own" else rows


def named_members(actor: Actor) -> QuerySet[Membership]:
    """Return the members whose names the actor may see. An actor who may see only its own
    membership still sees colleagues' names."""
    require(actor, "members.read")
    return _colleagues(actor)


def _colleagues(actor: Actor) -> QuerySet[Membership]:
    rows = (
        Membership.objects.filter(organisation=actor.organisation)
        .select_related("user", "custom_role", "organisation")
        .prefetch_related("teams")
        .order_by("created_at", "id")
    )
    if actor.teams is None:
        return rows
    return rows.filter(Q(all_teams=True) | Q(teams__in=actor.teams)).distinct()


def access_member(actor: Actor, id: str) -> Membership:
    """Return one member whom the actor may see. Raises Http404."""
    return get_by_id(visible_members(actor), parse_number(id))


def may_change_member(actor: Actor, member: Membership) -> bool:
    """Return whether the actor may change or remove the member. Nobody changes their own role."""
    if scope_of(actor, "members.write") is None or member.user == actor.user:
        return False
    return outranks(actor.authority, authority_of_membership(member))


def writable_member(actor: Actor, id: str) -> Membership:
    """Return one member whom the actor may change. Raises Http404, or AccessDenied if the actor may
    only see them."""
    require(actor, "members.write")
    member = access_member(actor, id)
    if not may_change_member(actor, member):
        raise AccessDenied(
            gettext("You cannot change your own role. Ask an owner.")
            if member.user == actor.user
            else gettext(
                "You cannot change a member whose role can do as much as yours. Ask an owner."
            )
        )
    return member


def working_keys_of(actor: Actor, member: Membership) -> list[Key]:
    """Return the keys of a member that work now, for actors who may change members."""
    require(actor, "members.write")
    return list(
        Key.objects.filter(works_now(), organisation=member.organisation_id, user=member.user_id)
    )


# Roles ------------------------------------------------------------------------------------------


def visible_roles(actor: Actor) -> QuerySet[CustomRole]:
    """Return the organisation's custom roles, by name."""
    require(actor, "members.read")
    rows = CustomRole.objects.filter(organisation=actor.organisation).order_by("name", "id")
    return rows.none() if scope_of(actor, "members.read") == "own" else rows


def access_role(actor: Actor, id: str) -> CustomRole:
    """Return a custom role of the organisation. Raises Http404."""
    return get_by_id(visible_roles(actor), id)


def find_role(actor: Actor, name: str) -> tuple[Role, CustomRole | None] | None:
    """Find a role by name, built in or custom. Return None if there is none."""
    if name in _BUILT_IN:
        return Role(name), None
    custom = CustomRole.objects.filter(organisation=actor.organisation, name__iexact=name).first()
    return (Role.CUSTOM, custom) if custom else None


def assignable_roles(actor: Actor) -> list[tuple[Role, CustomRole | None]]:
    """Return the roles that the actor may grant in its teams, the narrowest built-in one first
    (P23)."""
    own = CustomRole.objects.filter(organisation=actor.organisation).order_by("name", "id")
    roles = [(role, None) for role in reversed(_BUILT_IN)] + [(Role.CUSTOM, role) for role in own]
    return [pair for pair in roles if _may_give(actor, *pair)]


def _may_give(actor: Actor, role: Role, custom_role: CustomRole | None) -> bool:
    permissions = custom_role.permissions if custom_role else ()
    teams = None if role == Role.OWNER else actor.teams
    return first_action_beyond(authority_of(role, permissions, teams), actor.authority) is None


def role_name(row: HasRole) -> str:
    """Return a row's role by name: the built-in value, or the name of the custom role."""
    return row.custom_role.name if row.custom_role else str(row.role)


def assignable_teams(actor: Actor, member: Membership | None = None) -> QuerySet[Team]:
    """Return the active teams to which the actor may add others, and the archived ones that the
    member is in already."""
    kept = [team.pk for team in member.teams.all()] if member else []
    return visible_teams(actor).filter(Q(archived_at=None) | Q(id__in=kept))


# Invitations ------------------------------------------------------------------------------------


def visible_invitations(actor: Actor) -> QuerySet[Invitation]:
    """Return the invitations that the actor may see, newest first: all, or only those to its
    teams."""
    require(actor, "members.read")
    rows = (
        Invitation.objects.filter(organisation=actor.organisation)
        .select_related("custom_role", "invited_by", "accepted_by", "organisation")
        .prefetch_related("teams")
        .order_by("-id")
    )
    if scope_of(actor, "members.read") == "own":
        return rows.none()
    if actor.teams is None:
        return rows
    strange = Team.objects.filter(organisation=actor.organisation).exclude(id__in=actor.teams)
    return rows.filter(all_teams=False).exclude(teams__in=strange)


def may_write_invitation(actor: Actor, invitation: Invitation) -> bool:
    """Return whether the actor may resend or withdraw an invitation. That requires the authority
    that it offers."""
    if scope_of(actor, "members.write") is None:
        return False
    return first_action_beyond(offered_authority(invitation), actor.authority) is None


def access_invitation(actor: Actor, id: str) -> Invitation:
    """Return one invitation that the actor may see. Raises Http404."""
    return get_by_id(visible_invitations(actor), id)


def writable_invitation(actor: Actor, id: str) -> Invitation:
    """Return one invitation that the actor may change. Raises Http404, or AccessDenied if the actor
    may only see it."""
    require(actor, "members.write")
    invitation = access_invitation(actor, id)
    if not may_write_invitation(actor, invitation):
        raise AccessDenied(gettext("This invitation offers more than your own role. Ask an owner."))
    return invitation
