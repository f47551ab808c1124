"""The management API of members and invitations. Pages call the same functions."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from ninja import Query, Status
from pydantic import Field

from accounts.access import access, actors
from accounts.access.actors import Actor
from accounts.access.entry_requirements import people_with_factor
from accounts.access.operations import Router, requires
from accounts.members import access as member_access
from accounts.members import invitations, members, team_members
from accounts.members.invitation_letters import send_letters
from accounts.members.invitations import (
    ADDRESSES_MAX,
    INVITATION_DAYS,
    INVITATION_DAYS_MAX,
    MESSAGE_MAX,
    Offer,
    Sendable,
)
from accounts.models import CustomRole, Invitation, Membership, Role, Team
from lib import clock
from lib.api import pagination
from lib.api.after_commit import finish_after_commit
from lib.api.openapi import RequestBody, Schema, json_body
from lib.ids import id_text
from lib.numbers.whole_numbers import Whole
from lib.refusal import Refused

router = Router(tags=["Members"])

# The stored response of an Idempotency-Key if the process ended while the emails were being sent.
_UNKNOWN: Final = "It is not known whether the email was sent. Resend the invitation if it was not."

RoleName = Annotated[str, Field(
    min_length=1, max_length=60,
    description="`owner`, `admin`, `billing`, `developer`, `viewer`, or the name of a custom role.",
)]  # fmt: skip
Slug = Annotated[str, Field(min_length=1, max_length=60)]
Teams = Annotated[list[Slug] | None, Field(
    max_length=200, description="Slugs of the teams; `null` for all teams, later ones too."
)]  # fmt: skip
Address = Annotated[str, Field(min_length=3, max_length=254)]


class MemberOut(Schema):
    """A member of the organisation."""

    id: str
    email: str
    name: str
    role: str
    teams: list[str] | None = Field(description="Slugs of the teams; `null` for all teams.")
    leads: list[str] = Field(description="Slugs of the teams that the person leads.")
    active: bool = Field(description="Whether the person may sign in.")
    second_factor: bool | None = Field(
        description="Whether signing in asks for more than a password; `null` if you cannot change "
        "members."
    )
    last_sign_in_at: dt.datetime | None
    created_at: dt.datetime


class MemberPage(Schema):
    items: list[MemberOut]
    next: str | None


class MemberIn(RequestBody):
    """A new member and their role."""

    email: Address
    role: RoleName
    teams: Teams = None


class MemberChange(RequestBody):
    """Changes to a member. Omitted fields stay as they are."""

    role: RoleName | None = None
    teams: Teams = None


class TeamMemberIn(RequestBody):
    """A member to add to a team."""

    email: Address = Field(description="Email address of a member of the organisation.")


class TeamMemberChange(RequestBody):
    """A member's position in a team."""

    lead: bool = Field(
        description="Whether the person leads the team: manages its members, its keys, and their "
        "budgets within the team's own."
    )


class TeamMemberOut(Schema):
    """A member as shown to the team."""

    id: str
    email: str
    name: str
    role: str
    lead: bool


class InvitationIn(RequestBody):
    """New invitations: to whom, and with which role."""

    emails: list[Address] = Field(
        default_factory=list,
        max_length=ADDRESSES_MAX,
        description="Who gets an invitation by email. Empty: one link that one person can use.",
    )
    role: RoleName
    teams: Teams = None
    expires_in_days: Whole = Field(INVITATION_DAYS, ge=1, le=INVITATION_DAYS_MAX)
    message: str = Field("", max_length=MESSAGE_MAX, description="Included in the email.")


class ResendIn(RequestBody):
    expires_in_days: Whole = Field(INVITATION_DAYS, ge=1, le=INVITATION_DAYS_MAX)


class InvitationOut(Schema):
    """An invitation as shown after its creation, without its link."""

    id: str
    email: str | None = Field(description="`null` for a link that anyone can use once.")
    state: Literal["pending", "expired", "accepted", "withdrawn"]
    role: str
    teams: list[str] | None
    message: str
    invited_by: str | None
    created_at: dt.datetime
    sent_at: dt.datetime | None = Field(description="When the last email went out.")
    expires_at: dt.datetime


class NewInvitationOut(InvitationOut):
    """The response to creating or resending an invitation, the only one with its link."""

    link: str = Field(description="It is not stored and never shown again.")
    email_error: str = Field(description="Why no email went out; empty when it did.")


class NewInvitations(Schema):
    items: list[NewInvitationOut]
    next: None = None


class InvitationPage(Schema):
    items: list[InvitationOut]
    next: str | None


class MemberQuery(pagination.NamedPageQuery):
    email: str | None = Field(None, max_length=254, description="Only the one with this address.")


class InvitationQuery(pagination.PageQuery):
    email: str | None = Field(None, max_length=254, description="Only those for this address.")
    state: Literal["open", "all"] = Field("open", description="`open`: pending and expired.")


# Members ----------------------------------------------------------------------------------------


@router.get("/members", response=MemberPage, summary="List members")
def list_members(actor: Actor, query: Query[MemberQuery]) -> MemberPage:
    """The members whom you have access to, oldest first."""
    rows = query.filter_by_name(member_access.visible_members(actor), "user__name")
    if query.email is not None:
        rows = rows.filter(user__email__iexact=query.email)
    page = pagination.page_by_number(rows, query.limit, query.cursor)
    return MemberPage(items=_members(actor, page.items), next=page.next)


@router.post("/members", response={201: MemberOut}, summary="Add a member")
@requires("organisations.write")
def create_member(actor: Actor, body: MemberIn) -> Status[MemberOut]:
    """For operators: adds a person without an invitation, and creates an account for an unknown
    address. You need to be a member whose role includes what you grant, unless the organisation
    has no owner: then you can add one."""
    role, custom = _role(actor, body.role)
    member = members.add_member(
        actors.organisation_of(actor),
        body.email,
        role,
        actor=actor,
        custom_role=custom,
        teams=_teams(actor, body.teams),
    )
    return Status(201, _members(actor, [member])[0])


@router.get("/members/{id}", response=MemberOut, summary="Show a member")
def show_member(actor: Actor, id: str) -> MemberOut:
    """One member whom you have access to."""
    return _members(actor, [member_access.access_member(actor, id)])[0]


@router.patch("/members/{id}", response=MemberOut, summary="Change a member")
def change_member(actor: Actor, id: str, body: MemberChange) -> MemberOut:
    """Changes role or teams. You cannot grant what your own role lacks, or change a member whose
    role reaches as far as yours. Takes effect everywhere within a second."""
    member = member_access.writable_member(actor, id)
    fields = body.dict(exclude_unset=True)
    if "role" in fields and body.role is None:
        raise Refused("role", "role cannot be null: leave it out, or state a role.")
    role, custom = _role(actor, body.role) if body.role else (..., None)
    changed = members.set_member(
        member.organisation,
        member.user.email,
        role,
        actor=actor,
        custom_role=custom,
        teams=_teams(actor, body.teams, member) if "teams" in fields else ...,
    )
    return _members(actor, [changed])[0]


# Members of a team -----------------------------------------------------------------------------


@router.post("/teams/{team}/members", response=TeamMemberOut, summary="Add a member to a team")
def add_team_member(actor: Actor, team: str, body: TeamMemberIn) -> TeamMemberOut:
    """Adds a member of the organisation to a team. Their role there cannot include what yours
    lacks."""
    row = access.team_to_staff(actor, team)
    return _team_member(row, team_members.add_to_team(actor, row, body.email))


@router.patch(
    "/teams/{team}/members/{id}", response=TeamMemberOut, summary="Make a member the lead of a team"
)
def change_team_member(actor: Actor, team: str, id: str, body: TeamMemberChange) -> TeamMemberOut:
    """Makes a member the lead of a team, or ends that. You need to be able to manage teams, and to
    do all that a lead can."""
    row = access.writable_team(actor, team)
    member = team_members.access_team_member(actor, row, id)
    return _team_member(row, team_members.set_lead(actor, row, member, body.lead))


@router.delete("/teams/{team}/members/{id}", response={204: None}, summary="Remove from a team")
def remove_team_member(actor: Actor, team: str, id: str) -> Status[None]:
    """Removes a member from a team. Their keys of this team stop working; they stay in the
    organisation."""
    row = access.team_to_staff(actor, team)
    team_members.remove_from_team(actor, row, team_members.access_team_member(actor, row, id))
    return Status(204, None)


def _team_member(team: Team, member: Membership) -> TeamMemberOut:
    return TeamMemberOut(
        id=str(member.pk),
        email=member.user.email,
        name=member.user.name,
        role=member_access.role_name(member),
        lead=team.pk in member.leads,
    )


def _members(actor: Actor, rows: Sequence[Membership]) -> list[MemberOut]:
    slugs = team_members.slugs_of_led(rows)
    if access.scope_of(actor, "members.write") is None:
        return [MemberOut(**_member(row, slugs), second_factor=None) for row in rows]
    secured = people_with_factor(row.user_id for row in rows)
    return [MemberOut(**_member(row, slugs), second_factor=row.user_id in secured) for row in rows]


def _member(member: Membership, slugs: Mapping[UUID, str]) -> dict[str, Any]:
    return {
        "leads": sorted(slugs[id] for id in member.leads),
        "id": str(member.pk),
        "email": member.user.email,
        "name": member.user.name,
        "active": member.user.is_active,
        "last_sign_in_at": member.user.last_login,
        "created_at": member.created_at,
        **_team_slugs(member),
    }


def _team_slugs(row: Membership | Invitation) -> dict[str, Any]:
    slugs = None if row.all_teams else sorted(team.slug for team in row.teams.all())
    return {"role": member_access.role_name(row), "teams": slugs}


def _role(actor: Actor, name: str) -> tuple[Role, CustomRole | None]:
    role = member_access.find_role(actor, name)
    if role is None:
        raise Refused("role", f"There is no role named {name}.")
    return role


def _teams(
    actor: Actor, slugs: list[str] | None, member: Membership | None = None
) -> list[Team] | None:
    if slugs is None:
        return None
    teams = {team.slug: team for team in member_access.assignable_teams(actor, member)}
    for slug in slugs:
        if slug not in teams:
            raise Refused("teams", f"There is no team {slug} that you can use.")
    return [teams[slug] for slug in slugs]


# Invitations ------------------------------------------------------------------------------------


@router.get("/invitations", response=InvitationPage, summary="List invitations")
def list_invitations(actor: Actor, query: Query[InvitationQuery]) -> InvitationPage:
    """The invitations you have access to, newest first."""
    rows = member_access.visible_invitations(actor)
    if query.state == "open":
        rows = rows.filter(accepted_at=None, withdrawn_at=None)
    if query.email is not None:
        rows = rows.filter(email__iexact=query.email)
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    items = [InvitationOut(**_invitation(row)) for row in page.items]
    return InvitationPage(items=items, next=page.next)


@router.post("/invitations", response={201: NewInvitations}, summary="Invite people")
@requires("members.write")
def create_invitations(
    request: HttpRequest, actor: Actor, body: InvitationIn
) -> Status[NewInvitations]:
    """Invites people by email, or creates a link. You cannot offer what your own role lacks. An
    invitation stops working when you lose what it offers; a service account cannot invite."""
    role, custom = _role(actor, body.role)
    offer = Offer(role, custom, _teams(actor, body.teams), body.expires_in_days, body.message)
    results = invitations.invite(actors.organisation_of(actor), body.emails, offer, actor=actor)
    finish_after_commit(request, lambda body: {**body, "items": _send_all(results)})
    unknown = {
        sendable.invitation.email: _UNKNOWN for sendable in results if sendable.invitation.email
    }
    return Status(201, NewInvitations(items=[_new(sendable, unknown) for sendable in results]))


@router.get("/invitations/{id}", response=InvitationOut, summary="Show an invitation")
def show_invitation(actor: Actor, id: str) -> InvitationOut:
    """One invitation you have access to."""
    return InvitationOut(**_invitation(member_access.access_invitation(actor, id)))


@router.post("/invitations/{id}/resend", response=NewInvitationOut, summary="Resend an invitation")
def resend_invitation(actor: Actor, id: str, body: ResendIn) -> NewInvitationOut:
    """Sends the email again with a new link, which is only in this response. The previous link
    stops working."""
    invitation = member_access.writable_invitation(actor, id)
    result = invitations.resend(invitation, actor=actor, days=body.expires_in_days)
    return _invitations_out([result])[0]


@router.delete("/invitations/{id}", response=InvitationOut, summary="Withdraw an invitation")
def withdraw_invitation(actor: Actor, id: str) -> InvitationOut:
    """Its link stops working at once."""
    invitation = member_access.writable_invitation(actor, id)
    return InvitationOut(**_invitation(invitations.withdraw(invitation, actor=actor)))


def _invitations_out(results: list[Sendable]) -> list[NewInvitationOut]:
    errors = send_letters(results)
    for sendable in results:
        sendable.invitation.refresh_from_db()
    return [_new(sendable, errors) for sendable in results]


def _send_all(results: list[Sendable]) -> list[dict[str, Any]]:
    return [json_body(row) for row in _invitations_out(results)]


def _new(sendable: Sendable, errors: Mapping[str, str] | None = None) -> NewInvitationOut:
    return NewInvitationOut(
        **_invitation(sendable.invitation),
        link=f"{settings.PUBLIC_URL}{sendable.path}",
        email_error=(errors or {}).get(sendable.invitation.email, ""),
    )


def _invitation(invitation: Invitation) -> dict[str, Any]:
    return {
        "id": id_text(invitation.id),
        "email": invitation.email or None,
        "state": invitations.state_of(invitation, clock.now()),
        "message": invitation.message,
        "invited_by": invitation.invited_by.email if invitation.invited_by else None,
        "created_at": invitation.created_at,
        "sent_at": invitation.sent_at,
        "expires_at": invitation.expires_at,
        **_team_slugs(invitation),
    }
