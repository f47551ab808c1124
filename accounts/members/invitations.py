"""Invitations to an organisation: one function per write.

The link contains a random text of which only a digest is stored. A link sent by email also carries
a signature, which proves the address; a link copied from the page does not.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from allauth.account.models import EmailAddress
from django.core import signing
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from accounts.access.actors import Actor, actor_of_member, authority_of_member
from accounts.audit import audit
from accounts.audit.changes import read_again
from accounts.members.members import check_grant, role_and_teams, set_member
from accounts.models import CustomRole, Invitation, Membership, Organisation, Role, Team, User
from accounts.names.names import check_email
from accounts.roles.authority import Authority
from accounts.secrets.link_texts import link_digest, new_link_text
from lib import clock
from lib.refusal import Refused, check_text

INVITATION_DAYS: Final = 7
"""How long an invitation is valid. The inviter can choose another number."""
INVITATION_DAYS_MAX: Final = 30
ADDRESSES_MAX: Final = 50
MESSAGE_MAX: Final = 500
InvitationState = Literal["pending", "expired", "accepted", "withdrawn"]

_MAILED = signing.Signer(salt="invitation.mailed")
_SESSION: Final = "invitation"


class InvitationEnded(Exception):
    """The invitation cannot be accepted: it is unknown, used, withdrawn or expired."""


@dataclass(frozen=True)
class Offer:
    """The offer of an invitation: a role, its teams (None means all of them), and the expiry."""

    role: Role
    custom_role: CustomRole | None = None
    teams: Sequence[Team] | None = None
    days: int = INVITATION_DAYS
    message: str = ""


@dataclass(frozen=True)
class Sendable:
    """An invitation with the text of its link, which is not stored."""

    invitation: Invitation
    text: str

    @property
    def path(self) -> str:
        """Return the path of the link for copying."""
        return reverse("invitation", args=[self.text])

    @property
    def mailed_path(self) -> str:
        """Return the path of the link for an email. Whoever opens this path can read the mail of
        the invited address."""
        return reverse("invitation", args=[_MAILED.sign(self.text)])


# Reading ----------------------------------------------------------------------------------------


def state_of(invitation: Invitation, now: dt.datetime) -> InvitationState:
    if invitation.accepted_at is not None:
        return "accepted"
    if invitation.withdrawn_at is not None:
        return "withdrawn"
    return "expired" if invitation.expires_at <= now else "pending"


def find_invitation(text: str) -> tuple[Invitation, bool] | None:
    """Return the invitation of a link's text in any state, and whether the link came by email."""
    bare, mailed = _read(text)
    invitation = (
        Invitation.objects.select_related("organisation", "custom_role", "invited_by")
        .prefetch_related("teams")
        .filter(digest=link_digest(bare), organisation__archived_at=None)
        .first()
    )
    return (invitation, mailed and bool(invitation.email)) if invitation else None


def remember_invitation(request: HttpRequest, text: str) -> None:
    """Remember that the visitor opened a valid invitation, which permits signing up even if sign-up
    is for invited people only."""
    request.session[_SESSION] = text


def opened_invitation(request: HttpRequest) -> Invitation | None:
    """Return the invitation that this visitor has opened, if it can still be accepted."""
    match = find_invitation(str(request.session.get(_SESSION, "")))
    return match[0] if match and state_of(match[0], clock.now()) == "pending" else None


def is_invited(request: HttpRequest) -> bool:
    """Return whether this visitor has opened an invitation that can still be accepted."""
    return opened_invitation(request) is not None


def has_account(invitation: Invitation) -> bool:
    """Return whether somebody has an account with the invited address."""
    return User.objects.filter(email__iexact=invitation.email).exists()


def offered_authority(invitation: Invitation) -> Authority:
    """Return the authority that the invitation offers."""
    teams = None if invitation.all_teams else [team.pk for team in invitation.teams.all()]
    return authority_of_member(invitation, teams)


# Writing ----------------------------------------------------------------------------------------


def invite(
    organisation: Organisation, emails: Sequence[str], offer: Offer, *, actor: Actor
) -> list[Sendable]:
    """Invite these addresses or, without one, whoever gets the link. Either all are invited or
    none.

    Raises Refused for authority that the actor lacks (P23), for an address that is invalid, already
    a member or already invited, and if the actor is not a person: an invitation is valid only while
    its sender may grant what it offers.
    """
    if actor.user is None:
        raise Refused("emails", _only_a_person())
    _check_days(offer.days)
    addresses = _addresses(emails)
    message = check_text("message", offer.message, MESSAGE_MAX)
    with transaction.atomic():
        Organisation.objects.select_for_update(no_key=True).get(id=organisation.id)
        if offer.custom_role is not None:
            offer = replace(offer, custom_role=read_again(offer.custom_role))
        for address in addresses:
            _check_address(organisation, address)
        return [
            _create(organisation, address, offer, message, actor) for address in addresses or [""]
        ]


def resend(invitation: Invitation, *, actor: Actor, days: int = INVITATION_DAYS) -> Sendable:
    """Replace the link and the expiry of an open invitation; the previous link ends. Raises Refused
    for an invitation that was accepted or withdrawn, for authority that the actor lacks (P23), and
    if the actor is not a person and the inviter has left."""
    _check_days(days)
    text = new_link_text()
    with transaction.atomic():
        locked = _lock_open(invitation)
        check_grant(actor, offered_authority(locked))
        locked.digest = link_digest(text)
        locked.expires_at = clock.now() + dt.timedelta(days=days)
        # This person becomes the inviter. If a service account resends it, the inviter stays.
        locked.invited_by = actor.user or locked.invited_by
        if locked.invited_by is None:
            raise Refused("invitation", _only_a_person())
        locked.save(update_fields=["digest", "expires_at", "invited_by"])
        audit.record(
            actor, locked.organisation, "invitation.resent", locked, email=locked.email,
            expires_at=locked.expires_at.isoformat(),
        )  # fmt: skip
    return Sendable(locked, text)


def withdraw(invitation: Invitation, *, actor: Actor) -> Invitation:
    """Withdraw an invitation; its link ends immediately. Withdrawing it again changes nothing.
    Raises Refused for an accepted invitation."""
    with transaction.atomic():
        locked = Invitation.objects.select_for_update(of=("self",)).get(id=invitation.id)
        if locked.accepted_at is not None:
            raise Refused("invitation", gettext("This invitation was already accepted."))
        if locked.withdrawn_at is None:
            locked.withdrawn_at = clock.now()
            locked.save(update_fields=["withdrawn_at"])
            audit.record(
                actor, locked.organisation, "invitation.withdrawn", locked, email=locked.email
            )
    return locked


def withdraw_all_of(inviter: User, organisation: Organisation, *, actor: Actor) -> int:
    """Withdraw the invitations of a person who leaves. Return how many."""
    rows = Invitation.objects.filter(
        organisation=organisation, invited_by=inviter, accepted_at=None, withdrawn_at=None
    )
    return len([withdraw(invitation, actor=actor) for invitation in rows])


def accept(invitation: Invitation, user: User) -> Membership:
    """Make the person a member. One conditional UPDATE decides between concurrent requests. Raises
    InvitationEnded if the invitation was used or has ended, and Refused for an address that was not
    invited, for a member, and if the sender may no longer grant the role."""
    with transaction.atomic():
        # Lock the organisation before its rows, as every write of members does.
        organisation = Organisation.objects.select_for_update(no_key=True).get(
            id=invitation.organisation_id
        )
        now = clock.now()
        living = Invitation.objects.filter(
            id=invitation.id, accepted_at=None, withdrawn_at=None, expires_at__gt=now
        )
        if organisation.archived_at is not None or not living.update(
            accepted_at=now, accepted_by=user
        ):
            raise InvitationEnded
        fresh = Invitation.objects.select_related("custom_role").get(id=invitation.id)
        user = read_again(user)
        _check_acceptance(fresh, user)
        oneself = Actor(user, None, organisation, None, operator=False)
        audit.record(
            oneself, organisation, "invitation.accepted", fresh, email=user.email,
            **role_and_teams(fresh),
        )  # fmt: skip
        return set_member(
            organisation,
            user.email,
            Role(fresh.role),
            actor=_inviter(fresh),
            custom_role=fresh.custom_role,
            teams=None if fresh.all_teams else list(fresh.teams.all()),
        )


def accept_as_new(invitation: Invitation, name: str, hashed_password: str) -> Membership:
    """Accept an invitation as a new person, by the link in an email, which proves the address.
    Raises as `accept` does, and Refused if a person with that address exists by now."""
    with transaction.atomic():
        Organisation.objects.select_for_update(no_key=True).get(id=invitation.organisation_id)
        if has_account(invitation):
            raise Refused("password", gettext("This address has an account. Sign in to accept."))
        user = User.objects.create_user(invitation.email, name=name)
        user.password = hashed_password
        user.save(update_fields=["password"])
        EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
        audit.record(
            Actor(user, None, None, None, operator=False), None, "user.created", user,
            email=user.email, operator=False,
        )  # fmt: skip
        return accept(invitation, user)


# Parts ------------------------------------------------------------------------------------------


def _create(
    organisation: Organisation, address: str, offer: Offer, message: str, actor: Actor
) -> Sendable:
    text = new_link_text()
    all_teams = offer.teams is None or offer.role == Role.OWNER
    invitation = Invitation.objects.create(
        organisation=organisation,
        email=address,
        role=offer.role,
        custom_role=offer.custom_role,
        all_teams=all_teams,
        message=message,
        digest=link_digest(text),
        invited_by=actor.user,
        expires_at=clock.now() + dt.timedelta(days=offer.days),
    )
    if not all_teams:
        invitation.teams.set(offer.teams or ())
    check_grant(actor, offered_authority(invitation))
    audit.record(
        actor, organisation, "invitation.created", invitation, email=address,
        expires_at=invitation.expires_at.isoformat(), **role_and_teams(invitation),
    )  # fmt: skip
    return Sendable(invitation, text)


def _only_a_person() -> str:
    return gettext("Only a person can invite others. Use a management key of your own.")


def _check_days(days: int) -> None:
    if not 1 <= days <= INVITATION_DAYS_MAX:
        text = gettext("An invitation is valid for 1 to %(n)s days.")
        raise Refused("expires_in_days", text % {"n": INVITATION_DAYS_MAX})


def _addresses(emails: Sequence[str]) -> list[str]:
    """Remove duplicate addresses. Raises Refused for an invalid address, and for too many."""
    addresses: dict[str, str] = {}
    for email in emails:
        address = check_email("emails", email)
        addresses.setdefault(address.lower(), User.objects.normalize_email(address))
    if len(addresses) > ADDRESSES_MAX:
        text = gettext("You can invite up to %(n)s addresses at once.") % {"n": ADDRESSES_MAX}
        raise Refused("emails", text)
    return list(addresses.values())


def _check_address(organisation: Organisation, address: str) -> None:
    """Raise Refused for the address of a member, and for one with an open invitation. An expired
    invitation does not prevent a new one."""
    if organisation.memberships.filter(user__email__iexact=address).exists():
        text = gettext("%(email)s is already a member.") % {"email": address}
        raise Refused("emails", text, already_exists=True)
    open_ones = organisation.invitations.filter(
        email__iexact=address, accepted_at=None, withdrawn_at=None
    )
    now = clock.now()
    open_ones.filter(expires_at__lte=now).update(withdrawn_at=now)
    if open_ones.exists():
        text = gettext("%(email)s is already invited. Resend that invitation instead.")
        raise Refused("emails", text % {"email": address}, already_exists=True)


def _lock_open(invitation: Invitation) -> Invitation:
    locked = (
        Invitation.objects.select_for_update(of=("self",))
        .select_related("organisation", "custom_role")
        .get(id=invitation.id)
    )
    if locked.accepted_at is not None:
        raise Refused("invitation", gettext("This invitation was already accepted."))
    if locked.withdrawn_at is not None:
        raise Refused("invitation", gettext("This invitation was withdrawn. Create a new one."))
    return locked


def _check_acceptance(invitation: Invitation, user: User) -> None:
    if invitation.email and invitation.email.lower() != user.email.lower():
        text = gettext("This invitation is for %(email)s. Sign in with that address to accept it.")
        raise Refused("email", text % {"email": invitation.email})
    if Membership.objects.filter(user=user, organisation=invitation.organisation_id).exists():
        raise Refused("email", gettext("You are already a member of this organisation."))


def _inviter(invitation: Invitation) -> Actor:
    """Return the sender with their current authority. Raises Refused if it does not cover the offer
    (P23)."""
    inviter = invitation.invited_by
    membership = (
        Membership.objects.select_related("custom_role", "organisation")
        .filter(user=inviter, user__is_active=True, organisation=invitation.organisation_id)
        .first()
    )
    if inviter is not None and membership is not None:
        actor = actor_of_member(inviter, membership.organisation, membership)
        if actor.authority.scope_of("members.write") is not None:
            try:
                check_grant(actor, offered_authority(invitation))
            except Refused:
                pass
            else:
                return actor
    text = gettext(
        "Whoever invited you can no longer give this role. Ask the organisation for a new "
        "invitation."
    )
    raise Refused("invitation", text)


def _read(text: str) -> tuple[str, bool]:
    """Return the text of a link without its email signature, and whether that signature is
    valid."""
    try:
        return _MAILED.unsign(text), True
    except signing.BadSignature:
        return text, False
