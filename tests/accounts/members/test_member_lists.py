"""Members and invitations as they are listed, and what a change of role would take away."""

import datetime as dt
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.members import access as member_access
from accounts.members import invitations, members, team_members
from accounts.members.invitation_letters import send_letters
from accounts.members.invitations import Offer
from accounts.models import Erasure, Invitation, Key, KeyKind, Membership, Role, User
from accounts.organisations import teams
from lib import clock
from lib.ids import id_text
from tests.accounts.factors import with_app
from tests.support.cast import Cast, actor, make_key, member, signed_in, with_key
from tests.support.lists import file_of
from tests.support.markup import squeezed

pytestmark = pytest.mark.django_db
API = "/api/v1"
DAY = dt.timedelta(days=1)


def program(people: Cast, user: User) -> Client:
    _, text = make_key(people.core, f"m{user.pk}", user=user, kind=KeyKind.MANAGEMENT)
    return with_key(text)


def items(client: Client, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"{API}{path}").json()["items"]
    return found


def invited(people: Cast, *emails: str, **over: Any) -> list[Invitation]:
    offer = Offer(Role.VIEWER, **over)
    sent = invitations.invite(people.acme, emails, offer, actor=actor(people.alice, people.acme))
    return [one.invitation for one in sent]


def test_member_is_found_by_address_and_has_each_time_in_its_place(people: Cast) -> None:
    at = clock.now() - 3 * DAY
    User.objects.filter(pk=people.bob.pk).update(last_login=at)
    client = program(people, people.alice)
    (bob,) = items(client, "/members?email=BOB@example.org")
    assert (bob["email"], bob["name"], bob["active"]) == ("bob@example.org", "Bob", True)
    assert abs(dt.datetime.fromisoformat(bob["last_sign_in_at"]) - at) < dt.timedelta(seconds=1)
    assert dt.datetime.fromisoformat(bob["created_at"]) > at + DAY
    assert items(client, "/members?email=nobody@example.org") == []


def test_second_factor_of_a_member_is_told_to_those_who_manage_members(people: Cast) -> None:
    with_app(people.bob)
    found = items(program(people, people.alice), "/members")
    assert {one["email"]: one["second_factor"] for one in found} == {
        "alice@example.org": False, "bob@example.org": True,
    }  # fmt: skip
    bill = member(people.acme, "bill", Role.BILLING)
    assert {one["second_factor"] for one in items(program(people, bill), "/members")} == {None}


def test_several_members_get_a_role_or_none_of_them_does(people: Cast) -> None:
    """One whom the reader may not change keeps all the others as they are."""
    ann, bea = (member(people.acme, name, Role.ADMIN) for name in ("ann", "bea"))
    at = {one.user_id: str(one.pk) for one in Membership.objects.filter(organisation=people.acme)}
    bulk = "/o/acme/team/bulk"

    def change(role: str, *users: User) -> str:
        answer = signed_in(ann).post(
            bulk, {"id": [at[user.pk] for user in users], "role": role}, follow=True
        )
        return squeezed(answer.content.decode())

    def role_of(user: User) -> str:
        return Membership.objects.get(user=user, organisation=people.acme).role

    for refused in (people.alice, bea):
        text = change("viewer", people.bob, refused)
        assert f"You cannot change {refused}. Nothing was changed." in text
        assert "Changed" not in text
        assert role_of(people.bob) == Role.DEVELOPER
    assert "Choose a role." in change("none", people.bob)
    assert "Changed 1 member." in change("viewer", people.bob)
    assert role_of(people.bob) == Role.VIEWER


def test_invitations_are_listed_by_address_and_state(people: Cast) -> None:
    pending, old, gone = invited(people, "p@example.org", "o@example.org", "g@example.org")
    Invitation.objects.filter(pk=old.pk).update(expires_at=clock.now() - DAY)
    invitations.withdraw(gone, actor=SYSTEM)
    used = invited(people, "u@example.org")[0]
    Invitation.objects.filter(pk=used.pk).update(accepted_at=clock.now())
    client = program(people, people.alice)
    assert [one["state"] for one in items(client, "/invitations")] == ["expired", "pending"]
    states = [one["state"] for one in items(client, "/invitations?state=all")]
    assert states == ["accepted", "withdrawn", "expired", "pending"]
    (one,) = items(client, "/invitations?email=P@example.org")
    assert (one["id"], one["sent_at"]) == (id_text(pending.id), None)
    alice = signed_in(people.alice)

    def shown(query: str) -> list[str]:
        rows = file_of(alice, f"/o/acme/team/invitations?{query}sort=email&export=csv")
        return [row["email"] for row in rows]

    assert shown("") == ["o@example.org", "p@example.org"]
    assert shown("state=withdrawn&") == ["g@example.org"]
    assert shown("q=ALICE&state=all&") == [f"{name}@example.org" for name in "gopu"]
    assert shown("q=bob&state=all&") == []


def test_emailed_invitation_proves_the_address_in_the_language_of_its_reader(
    people: Cast,
) -> None:
    User.objects.filter(pk=people.alice.pk).update(language="en")
    User.objects.filter(pk=people.charlie.pk).update(language="zh-hans")
    people.alice.refresh_from_db()
    sendables = invitations.invite(
        people.acme, ["charlie@example.org"], Offer(Role.VIEWER),
        actor=actor(people.alice, people.acme),
    )  # fmt: skip
    assert send_letters(sendables) == {"charlie@example.org": ""}
    (letter,) = mail.outbox
    assert "邀请" in letter.subject
    assert sendables[0].mailed_path in letter.body
    sent_at = Invitation.objects.get().sent_at
    assert sent_at is not None
    assert clock.now() - sent_at < DAY


def test_whoever_resends_an_invitation_becomes_its_inviter(people: Cast) -> None:
    (old,) = invited(people, "p@example.org")
    Invitation.objects.filter(pk=old.pk).update(expires_at=clock.now() - 9 * DAY)
    anna = member(people.acme, "anna", Role.ADMIN)
    again = invitations.resend(old, actor=actor(anna, people.acme), days=3).invitation
    assert again.invited_by == anna
    assert round((again.expires_at - clock.now()) / DAY, 2) == 3


def test_members_who_can_be_added_to_a_team_are_not_in_it(people: Cast) -> None:
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    for name, team in (("eve", people.core), ("frank", second)):
        user = member(people.acme, name, Role.VIEWER)
        members.set_member(people.acme, user.email, Role.VIEWER, teams=[team], actor=SYSTEM)
    found = team_members.addable_members(actor(people.alice, people.acme), people.core)
    assert [one.user.email for one in found] == ["frank@example.org"]


def test_counts_of_members_are_those_of_each_organisation(people: Cast) -> None:
    counts = members.member_counts([people.acme.id, people.stranger.id])
    assert counts == {people.acme.id: 2, people.stranger.id: 1}


def test_person_erased_in_one_organisation_keeps_the_account(people: Cast) -> None:
    for user, part in ((people.bob, people.acme), (people.charlie, None)):
        Erasure.objects.create(
            user=user, organisation=part, pseudonym=f"e{user.pk}", step="requests"
        )
    ids = [people.bob.pk, people.charlie.pk]
    assert members.erased_people(ids) == {people.charlie.pk}


def test_preview_names_what_a_member_would_lose_and_no_key_that_is_off(people: Cast) -> None:
    make_key(people.core, "works", user=people.bob)
    off, _ = make_key(people.core, "off", user=people.bob)
    off.disabled = True
    off.save()
    ended, _ = make_key(people.core, "ended", user=people.bob)
    Key.objects.filter(id=ended.id).update(expires_at=clock.now())
    # It works no more already.
    make_key(teams.create_team(people.acme, "left", actor=SYSTEM), "of the past", user=people.bob)
    members.set_member(
        people.acme, people.bob.email, Role.DEVELOPER, teams=[people.core], actor=SYSTEM
    )
    row = Membership.objects.get(user=people.bob, organisation=people.acme)
    alice = signed_in(people.alice)
    path = f"/o/acme/team/members/{row.pk}/_f/preview"
    page = alice.get(path, {"role": "viewer"}).content.decode()
    assert "Create own keys" in page
    assert "1 API key stops working" in squeezed(page)
    kept = alice.get(path, {"role": "admin"}).content.decode()
    assert "API key" not in kept.partition("<details")[0]
    # An owner is one of all teams, whatever the form says.
    assert alice.get(path, {"role": "owner", "teams": "core"}).content == (
        alice.get(path, {"role": "owner"}).content
    )
    names = [key.name for key in member_access.working_keys_of(
        actor(people.alice, people.acme), row
    )]  # fmt: skip
    assert sorted(names) == ["of the past", "works"]
