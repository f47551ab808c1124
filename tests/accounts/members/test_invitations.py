"""Invitations: who may give what, accepted once, told in plain words when they are over."""

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from accounts.access.actors import SYSTEM, Actor
from accounts.custom_roles import custom_roles
from accounts.members import access, invitations, members
from accounts.members.invitations import InvitationEnded, Offer, Sendable
from accounts.models import AuditEvent, Invitation, KeyKind, Membership, Role, User
from accounts.organisations import teams
from lib import clock
from lib.refusal import Refused
from tests.support import cast
from tests.support.cast import Cast, actor, member, person

IVY = "ivy@example.org"


def invited(people: Cast, role: Role = Role.DEVELOPER, email: str = IVY, **offer: Any) -> Sendable:
    alice = actor(people.alice, people.acme)
    emails = [email] if email else []
    (created,) = invitations.invite(people.acme, emails, Offer(role, **offer), actor=alice)
    return created


def test_an_invitation_makes_a_member_once(people: Cast) -> None:
    invitation = invited(people)
    ivy = person("ivy")
    membership = invitations.accept(invitation.invitation, ivy)
    assert (membership.role, membership.all_teams) == (Role.DEVELOPER, True)
    with pytest.raises(InvitationEnded):
        invitations.accept(invitation.invitation, ivy)
    actions = AuditEvent.objects.order_by("id").values_list("action", "actor_user")
    assert list(actions)[-2:] == [
        ("invitation.accepted", ivy.pk),
        ("member.set", people.alice.pk),
    ]


@pytest.mark.django_db(transaction=True)
def test_invitation_is_accepted_once_under_twenty_presses(people: Cast) -> None:
    invitation = invited(people, email="")
    users = [person(f"p{n}") for n in range(20)]

    def press(user: User) -> str:
        try:
            invitations.accept(invitation.invitation, user)
        except InvitationEnded:
            return "ended"
        finally:
            connection.close()
        return "accepted"

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(press, users))
    assert sorted(answers) == ["accepted", *["ended"] * 19]
    assert Membership.objects.filter(organisation=people.acme).count() == 3


@pytest.mark.django_db(transaction=True)
def test_twenty_presses_create_a_person_once(people: Cast) -> None:
    invitation = invited(people)

    def press(_: int) -> str:
        try:
            invitations.accept_as_new(invitation.invitation, "Ivy", "!")
        except (InvitationEnded, Refused) as error:
            return type(error).__name__
        finally:
            connection.close()
        return "accepted"

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(press, range(20)))
    assert answers.count("accepted") == 1
    assert User.objects.filter(email=IVY).count() == 1


def test_only_a_digest_of_the_link_is_stored(people: Cast) -> None:
    """P14"""
    invitation = invited(people)
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(i)::text FROM accounts_invitation i")
        cells = "".join(row for (row,) in cursor.fetchall())
        cursor.execute("SELECT detail::text FROM accounts_auditevent")
        cells += "".join(row for (row,) in cursor.fetchall())
    assert invitation.text not in cells
    assert invitation.text.encode().hex() not in cells


GRANTS = [
    (Role.ADMIN, Role.DEVELOPER, True),
    (Role.ADMIN, Role.ADMIN, True),
    (Role.ADMIN, Role.BILLING, False),
    (Role.ADMIN, Role.OWNER, False),
    (Role.DEVELOPER, Role.VIEWER, False),
    (Role.OWNER, Role.OWNER, True),
]


@pytest.mark.parametrize(("giver", "role", "may"), GRANTS)
def test_no_one_invites_beyond_their_own_rights(
    people: Cast, giver: Role, role: Role, may: bool
) -> None:
    """P23"""
    by = actor(member(people.acme, "giver", giver), people.acme)
    if may:
        invitations.invite(people.acme, [IVY], Offer(role), actor=by)
        return
    with pytest.raises(Refused, match="You cannot grant"):
        invitations.invite(people.acme, [IVY], Offer(role), actor=by)
    assert not Invitation.objects.exists()


def test_team_admin_invites_only_to_that_team(people: Cast) -> None:
    """P23"""
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    members.set_member(people.acme, people.bob.email, Role.ADMIN, teams=[people.core], actor=SYSTEM)
    bob = actor(people.bob, people.acme)
    for there in (None, [second], [people.core, second]):
        with pytest.raises(Refused, match="You cannot grant"):
            invitations.invite(people.acme, [IVY], Offer(Role.VIEWER, teams=there), actor=bob)
    offer = Offer(Role.VIEWER, teams=[people.core])
    (created,) = invitations.invite(people.acme, [IVY], offer, actor=bob)
    membership = invitations.accept(created.invitation, person("ivy"))
    assert list(membership.teams.all()) == [people.core]


def test_team_admin_sees_only_invitations_to_their_teams_alone(people: Cast) -> None:
    """P12: one to another team too is for those who manage both."""
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    members.set_member(people.acme, people.bob.email, Role.ADMIN, teams=[people.core], actor=SYSTEM)
    bob, alice = actor(people.bob, people.acme), actor(people.alice, people.acme)
    for email, there in (
        ("core@example.org", [people.core]),
        ("both@example.org", [people.core, second]),
        ("second@example.org", [second]),
        ("all@example.org", None),
    ):
        invitations.invite(people.acme, [email], Offer(Role.VIEWER, teams=there), actor=alice)
    assert [one.email for one in access.visible_invitations(bob)] == ["core@example.org"]
    assert access.visible_invitations(alice).count() == 4


def lower(people: Cast) -> None:
    members.set_member(people.acme, people.bob.email, Role.VIEWER, actor=SYSTEM)


def remove(people: Cast) -> None:
    members.remove_member(people.acme, people.bob.email, actor=SYSTEM)


def switch_off(people: Cast) -> None:
    members.set_active(people.bob, False, actor=SYSTEM)


def limit(people: Cast) -> None:
    members.set_member(people.acme, people.bob.email, Role.ADMIN, teams=[people.core], actor=SYSTEM)


@pytest.mark.parametrize("lose", [lower, remove, switch_off, limit])
def test_invitation_ends_with_its_senders_rights(
    people: Cast, lose: Callable[[Cast], None]
) -> None:
    """P23: what the inviter may give is decided again when it is accepted."""
    members.set_member(people.acme, people.bob.email, Role.ADMIN, actor=SYSTEM)
    bob = actor(people.bob, people.acme)
    (created,) = invitations.invite(people.acme, [IVY], Offer(Role.DEVELOPER), actor=bob)
    lose(people)
    ivy = person("ivy")
    with pytest.raises(Refused, match="can no longer give this role"):
        invitations.accept(created.invitation, ivy)
    # Nothing is used up: whoever may can send it again.
    created.invitation.refresh_from_db()
    assert created.invitation.accepted_at is None
    alice = actor(people.alice, people.acme)
    again = invitations.resend(created.invitation, actor=alice)
    assert invitations.accept(again.invitation, ivy).role == Role.DEVELOPER


def test_grown_custom_role_is_decided_as_it_is_now(people: Cast) -> None:
    """P23"""
    role = custom_roles.create_role(people.acme, "reader", ["usage.read"], actor=SYSTEM)
    members.set_member(people.acme, people.bob.email, Role.ADMIN, actor=SYSTEM)
    bob = actor(people.bob, people.acme)
    offer = Offer(Role.CUSTOM, role)
    (created,) = invitations.invite(people.acme, [IVY], offer, actor=bob)
    custom_roles.change_role(role, name="reader", permissions=["wallet.write"], actor=SYSTEM)
    with pytest.raises(Refused):
        invitations.resend(created.invitation, actor=bob)
    with pytest.raises(Refused, match="can no longer give"):
        invitations.accept(created.invitation, person("ivy"))


def test_resent_invitation_has_a_new_link(people: Cast) -> None:
    invitation = invited(people)
    again = invitations.resend(invitation.invitation, actor=actor(people.alice, people.acme))
    assert invitations.find_invitation(invitation.text) is None
    assert invitations.find_invitation(again.text) == (invitation.invitation, False)
    assert invitations.find_invitation(again.mailed_path.rpartition("/")[2]) == (
        invitation.invitation,
        True,
    )


@pytest.mark.parametrize(
    ("emails", "text"),
    [
        (["bob@example.org"], "already a member"),
        (["BOB@example.org"], "already a member"),
        ([IVY], "already invited"),
        (["Ivy@Example.org"], "already invited"),
        (["new@example.org", "nonsense"], "not an email address"),
        (["a@b\nBcc: x@example.org"], "not an email address"),
        ([f"p{n}@example.org" for n in range(51)], "up to 50"),
    ],
)
def test_invitation_covers_all_addresses_or_none(
    people: Cast, emails: list[str], text: str
) -> None:
    invited(people)
    alice = actor(people.alice, people.acme)
    with pytest.raises(Refused, match=text):
        invitations.invite(people.acme, emails, Offer(Role.VIEWER), actor=alice)
    assert Invitation.objects.count() == 1


def test_expired_invitation_allows_another(people: Cast) -> None:
    first = invited(people).invitation
    past = clock.now() - dt.timedelta(seconds=1)
    Invitation.objects.filter(id=first.id).update(expires_at=past)
    with pytest.raises(InvitationEnded):
        invitations.accept(first, person("ivy"))
    invited(people)
    first.refresh_from_db()
    assert invitations.state_of(first, clock.now()) == "withdrawn"


def test_invitation_is_for_its_address_only_and_no_member(people: Cast) -> None:
    invitation = invited(people)
    with pytest.raises(Refused, match=r"This invitation is for ivy@example\.org"):
        invitations.accept(invitation.invitation, person("eve"))
    link = invited(people, Role.OWNER, email="")
    with pytest.raises(Refused, match="already a member"):
        invitations.accept(link.invitation, people.bob)
    assert people.bob.memberships.get().role == Role.DEVELOPER


def test_withdrawn_invitations_end_and_accepted_ones_stay(people: Cast) -> None:
    alice = actor(people.alice, people.acme)
    invitation = invited(people)
    invitations.withdraw(invitation.invitation, actor=alice)
    ivy = person("ivy")
    with pytest.raises(InvitationEnded):
        invitations.accept(invitation.invitation, ivy)
    with pytest.raises(Refused, match="was withdrawn"):
        invitations.resend(invitation.invitation, actor=alice)
    other = invited(people, email="")
    invitations.accept(other.invitation, ivy)
    for write in (invitations.withdraw, invitations.resend):
        with pytest.raises(Refused, match="already accepted"):
            write(other.invitation, actor=alice)
    accepted = Invitation.objects.get(id=other.invitation.id)
    now = clock.now()
    assert invitations.state_of(accepted, now) == "accepted"
    open_one = invited(people, email="other@example.org").invitation
    assert (
        invitations.state_of(open_one, open_one.expires_at - dt.timedelta(seconds=1)) == "pending"
    )
    assert invitations.state_of(open_one, open_one.expires_at) == "expired"


def test_only_a_person_invites(people: Cast) -> None:
    """Its right to give is asked for again when the invitation is accepted."""
    key, _ = cast.make_key(people.core, "m", user=people.alice, kind=KeyKind.MANAGEMENT)
    program = Actor(None, key, people.acme, Role.ADMIN, operator=False)
    for nobody in (SYSTEM, program):
        with pytest.raises(Refused, match="Only a person"):
            invitations.invite(people.acme, [IVY], Offer(Role.VIEWER), actor=nobody)


def test_addresses_that_differ_in_capitals_are_invited_once(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invitations, "ADDRESSES_MAX", 2)
    alice = actor(people.alice, people.acme)
    emails = ["Zoe@Example.org", "zoe@example.org", "max@example.org"]
    sent = invitations.invite(people.acme, emails, Offer(Role.VIEWER), actor=alice)
    assert [one.invitation.email for one in sent] == ["Zoe@example.org", "max@example.org"]


def test_invitation_to_an_address_with_capitals_is_accepted(people: Cast) -> None:
    invitation = invited(people, email="Ivy@example.org")
    assert invitations.accept(invitation.invitation, person("ivy")).role == Role.DEVELOPER


def test_invitation_has_ended_at_the_instant_that_it_names(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = invited(people).invitation
    monkeypatch.setattr(clock, "now", lambda: first.expires_at)
    with pytest.raises(InvitationEnded):
        invitations.accept(first, person("ivy"))
    invited(people)
    first.refresh_from_db()
    assert first.withdrawn_at == first.expires_at


def test_leaving_one_organisation_keeps_invitations_to_another(people: Cast) -> None:
    members.set_member(people.stranger, people.alice.email, Role.OWNER, actor=SYSTEM)
    here = invited(people).invitation
    there_as = actor(people.alice, people.stranger)
    (there,) = invitations.invite(people.stranger, [IVY], Offer(Role.VIEWER), actor=there_as)
    assert invitations.withdraw_all_of(people.alice, people.acme, actor=SYSTEM) == 1
    states = [Invitation.objects.get(id=one.id) for one in (here, there.invitation)]
    now = clock.now()
    assert [invitations.state_of(one, now) for one in states] == ["withdrawn", "pending"]
