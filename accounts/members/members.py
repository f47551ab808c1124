"""Members of an organisation and their roles: one function per write.

A member grants only authority that they have, and changes only members whom they outrank (P23). The
installation itself has no such limit. An organisation always keeps an owner, and the installation
an operator.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import EllipsisType
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext

from accounts.access.actors import Actor, authority_of_member, leads_within, teams_of
from accounts.audit import audit
from accounts.audit.changes import read_again
from accounts.audit.epoch import bump_epoch
from accounts.models import (
    CustomRole,
    Erasure,
    Invitation,
    Membership,
    Organisation,
    Role,
    Team,
    User,
)
from accounts.names.names import check_email
from accounts.roles.authority import Authority, first_action_beyond, outranks
from accounts.sessions import sessions
from accounts.sign_on_connections.connections import end_connections_by_domain
from lib.refusal import Refused


class LastOwner(Refused):
    """The change would leave the organisation without an owner."""


class LastOperator(Refused):
    """The change would leave the installation without an operator."""


def set_member(
    organisation: Organisation,
    email: str,
    role: Role | EllipsisType,
    *,
    actor: Actor,
    custom_role: CustomRole | None = None,
    teams: Sequence[Team] | EllipsisType | None = ...,
) -> Membership:
    """Give a person a role in teams; None means all teams. With `...`, a member keeps their role;
    Http404 for anybody else. Without `teams` the person's teams stay; a new member gets all. A new
    person signs in with a link or a password reset. Raises Refused for authority that the actor may
    not grant, or not to this member, and LastOwner for the only owner."""
    with transaction.atomic():
        user = add_person(email, actor=actor)
        # The lock on the organisation's row serialises two owners who demote each other.
        Organisation.objects.select_for_update(no_key=True).get(id=organisation.id)
        membership = (
            Membership.objects.select_related("custom_role")
            .filter(user=user, organisation=organisation)
            .first()
        )
        adds_first_owner = actor.operator and not active_owners(organisation).exists()
        before = role_and_teams(membership) if membership else {}
        held = authority_of(membership) if membership else None
        if role is ...:
            if membership is None:
                raise Http404
            role, custom_role = Role(membership.role), membership.custom_role
        elif custom_role is not None:
            custom_role = read_again(custom_role)
        if membership is None:
            membership = Membership(user=user, organisation=organisation)
        elif membership.role == Role.OWNER and role != Role.OWNER:
            _check_owner_stays(organisation, user)
        membership.role, membership.custom_role = role, custom_role
        if role == Role.OWNER:
            teams = None
        if teams is not ...:
            membership.all_teams = teams is None
        membership.save()
        if teams is not ...:
            membership.teams.set(teams or ())
            drop_strange_leads(membership)
        if not adds_first_owner:
            check_change(actor, user, held, authority_of(membership))
        after = role_and_teams(membership)
        if before != after:
            audit.record(
                actor, organisation, "member.set", user, email=user.email,
                before=before, after=after,
            )  # fmt: skip
            bump_epoch()
    return membership


def add_member(
    organisation: Organisation,
    email: str,
    role: Role,
    *,
    actor: Actor,
    custom_role: CustomRole | None = None,
    teams: Sequence[Team] | None = None,
) -> Membership:
    """Add a person without an invitation, as an operator who is a member may do. If no owner can
    sign in, nobody can invite, and any operator may add an owner. Raises Refused for a member, and
    for authority that the actor may not grant."""
    address = check_email("email", email)
    with transaction.atomic():
        Organisation.objects.select_for_update(no_key=True).get(id=organisation.id)
        members = Membership.objects.filter(organisation=organisation)
        if members.filter(user__email__iexact=address).exists():
            text = gettext("%(email)s is already a member.")
            raise Refused("email", text % {"email": address}, already_exists=True)
        return set_member(
            organisation, address, role, actor=actor, custom_role=custom_role, teams=teams
        )


def remove_member(organisation: Organisation, email: str, *, actor: Actor) -> None:
    """End a membership. The person's account stays; their keys in the organisation stop working.

    Raises Refused for another member whom the actor does not outrank, and LastOwner for the only
    owner.
    """
    with transaction.atomic():
        Organisation.objects.select_for_update(no_key=True).get(id=organisation.id)
        rows = Membership.objects.select_related("user", "custom_role")
        membership = get_object_or_404(rows, organisation=organisation, user__email__iexact=email)
        user = membership.user
        if membership.role == Role.OWNER:
            _check_owner_stays(organisation, user)
        check_change(actor, user, authority_of(membership), Authority())
        before = role_and_teams(membership)
        membership.delete()
        audit.record(
            actor, organisation, "member.removed", user, email=user.email, before=before
        )  # fmt: skip
        bump_epoch()


def add_person(email: str, *, actor: Actor, name: str = "", operator: bool = False) -> User:
    """Return the person with that address; create one without a password if needed. `operator=True`
    makes the person an operator; False changes nothing. An existing name is kept."""
    with transaction.atomic():
        user = User.objects.filter(email__iexact=email).first()
        if user is None:
            user = User.objects.create_user(email, name=name, operator=operator)
            audit.record(actor, None, "user.created", user, email=user.email, operator=operator)
        elif name and not user.name:
            user.name = name
            user.save(update_fields=["name"])
            audit.record(actor, None, "user.named", user, email=user.email, name=name)
        if operator and not user.operator:
            user.operator = True
            user.save(update_fields=["operator"])
            # Otherwise, the operator of an organisation's identity provider could sign in as an
            # installation's operator.
            end_connections_by_domain(user)
            audit.record(actor, None, "user.operator", user, email=user.email)
            bump_epoch()
    return user


def set_active(user: User, active: bool, *, actor: Actor) -> None:
    """Activate or deactivate a person. A deactivated person has no usable key and no session.
    Raises LastOwner for the only active owner of an organisation, and LastOperator for the only
    operator."""
    owned = Organisation.objects.filter(memberships__user=user, memberships__role=Role.OWNER)
    with transaction.atomic():
        organisations = list(owned.select_for_update(of=("self",)).order_by("id"))
        # The lock on the operators' rows serialises two operators who deactivate each other.
        concerned = User.objects.filter(Q(id=user.id) | Q(operator=True, is_active=True))
        rows = {row.id: row for row in concerned.select_for_update(no_key=True).order_by("id")}
        locked = rows.pop(user.id)
        if locked.is_active == active:
            return
        if active and Erasure.objects.filter(user=locked, organisation=None).exists():
            text = gettext("An erased person cannot come back. Invite the address again instead.")
            raise Refused("active", text)
        if not active:
            for organisation in organisations:
                _check_owner_stays(organisation, locked)
            if locked.operator and not any(row.operator for row in rows.values()):
                raise LastOperator(
                    "active",
                    gettext("%(email)s is the last operator of this installation.")
                    % {"email": locked.email},
                )
        locked.is_active = active
        locked.save(update_fields=["is_active"])
        action = "user.activated" if active else "user.deactivated"
        audit.record(actor, None, action, locked, email=locked.email)
        if not active:
            sessions.end(locked, action, actor=actor)
        bump_epoch()


def authority_of(membership: Membership) -> Authority:
    """Return the member's authority according to the current rows."""
    teams = teams_of(membership)
    leads = leads_within(membership, teams)
    return replace(authority_of_member(membership, teams), leads=leads)


def role_and_teams(row: Membership | Invitation) -> dict[str, object]:
    """Return the role and teams of a membership or an offer, for the audit trail."""
    named = row.custom_role.name if row.custom_role else str(row.role)
    slugs = sorted(team.slug for team in row.teams.all()) if row.pk else []
    facts: dict[str, object] = {"role": named, "teams": "all" if row.all_teams else slugs}
    if isinstance(row, Membership) and row.leads:
        facts["leads"] = sorted(
            Team.objects.filter(id__in=row.leads).values_list("slug", flat=True)
        )
    return facts


def drop_strange_leads(membership: Membership) -> None:
    """End the leads of teams that the member is no longer in."""
    membership.leads = sorted(leads_within(membership, teams_of(membership)))
    membership.save(update_fields=["leads"])


def check_grant(actor: Actor, wanted: Authority) -> None:
    """Raise Refused if the actor would grant authority that it lacks (P23)."""
    if actor.installation:
        return
    action = first_action_beyond(wanted, actor.authority)
    if action is not None:
        text = gettext(
            "You cannot grant %(action)s, because your own role does not include it for these "
            "teams. Choose a role and teams within yours, or ask an owner."
        )
        raise Refused("role", text % {"action": action})


def check_change(
    actor: Actor, person: User | None, held: Authority | None, wanted: Authority
) -> None:
    """Raise Refused if the actor may not change `held` to `wanted`. People may always give up their
    own authority."""
    if actor.installation:
        return
    oneself = person is not None and actor.user == person
    if held is not None and not oneself and not outranks(actor.authority, held):
        text = gettext(
            "You cannot change a member whose role can do as much as yours. Ask an owner."
        )
        raise Refused("role", text)
    check_grant(actor, wanted)


def member_counts(organisation_ids: Iterable[UUID]) -> dict[UUID, int]:
    """Return how many members each of these organisations has; those without any are missing."""
    rows = Membership.objects.filter(organisation__in=organisation_ids)
    return dict(rows.values_list("organisation").annotate(n=Count("id")))


def erased_people(user_ids: Iterable[int]) -> set[int]:
    """Return which of these people's accounts are erased, or are being erased. A person who was
    erased in one organisation keeps the account."""
    rows = Erasure.objects.filter(user__in=user_ids, organisation=None)
    return set(rows.values_list("user", flat=True))


def active_owners(organisation: Organisation) -> QuerySet[Membership]:
    """Return the memberships of owners who can sign in."""
    return Membership.objects.filter(
        organisation=organisation, role=Role.OWNER, user__is_active=True
    )


def _check_owner_stays(organisation: Organisation, leaving: User) -> None:
    """Raise LastOwner if the organisation has no other active owner. The caller has locked its
    row."""
    if not active_owners(organisation).exclude(user=leaving).exists():
        raise LastOwner(
            "role",
            gettext("%(email)s is the last owner of %(organisation)s.")
            % {"email": leaving.email, "organisation": organisation.name},
        )
