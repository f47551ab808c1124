"""Who is in a team, and who decides on it (P23); on the team's page and in the API."""

import re

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM, key_actor
from accounts.members import members, team_members
from accounts.models import AuditEvent, Membership, Role, Team
from accounts.organisations import teams
from lib.refusal import Refused
from tests.support.cast import Cast, actor, make_key, member, signed_in, with_key

ADD = "/o/acme/teams/second/members/add"


@pytest.fixture
def second(people: Cast) -> Team:
    """A team that bob, a developer of core alone, is not in."""
    members.set_member(
        people.acme, people.bob.email, Role.DEVELOPER, teams=[people.core], actor=SYSTEM
    )
    return teams.create_team(people.acme, "second", actor=SYSTEM)


def membership(people: Cast) -> Membership:
    return Membership.objects.get(user=people.bob, organisation=people.acme)


def slugs(people: Cast) -> set[str]:
    return {team.slug for team in membership(people).teams.all()}


def may_send(browser: Client, path: str) -> bool:
    """Whether a dialog has a button to send its form."""
    page = browser.get(path, headers={"hx-request": "true"}).content.decode()
    return bool(re.search(r'data-kind="(?:primary|danger)"\s+type="submit"', page))


def test_an_admin_adds_and_removes_a_member_on_the_page(people: Cast, second: Team) -> None:
    browser = signed_in(people.alice)
    assert "bob@example.org" in browser.get(ADD).content.decode()
    answer = browser.post(ADD, {"email": "bob@example.org"})
    assert answer["Location"] == "/o/acme/teams/second"
    assert slugs(people) == {"core", "second"}
    page = browser.get("/o/acme/teams/second").content.decode()
    assert f"/teams/second/members/{membership(people).pk}/remove" in page
    browser.post(f"/o/acme/teams/second/members/{membership(people).pk}/remove")
    assert slugs(people) == {"core"}
    changes = AuditEvent.objects.filter(action="member.set").order_by("-id")[:2]
    assert [event.detail["after"]["teams"] for event in changes] == [["core"], ["core", "second"]]


def test_the_api_does_the_same(people: Cast, second: Team) -> None:
    _, text = make_key(people.core, "by alice", user=people.alice, kind="management")
    program = with_key(text)
    path = "/api/v1/teams/second/members"
    added = program.post(path, {"email": "bob@example.org"}, content_type="application/json")
    assert (added.status_code, added.json()["email"]) == (200, "bob@example.org")
    assert slugs(people) == {"core", "second"}
    again = program.post(path, {"email": "bob@example.org"}, content_type="application/json")
    assert again.status_code == 409
    assert program.delete(f"{path}/{membership(people).pk}").status_code == 204
    assert slugs(people) == {"core"}
    assert program.delete(f"{path}/{membership(people).pk}").status_code == 404


def test_member_of_all_teams_is_listed_once(people: Cast, second: Team) -> None:
    """Also one for whom single teams are still stored."""
    bob = membership(people)
    bob.teams.set([people.core, second])
    bob.all_teams = True
    bob.save()
    emails = [member.user.email for member in team_members.members_of(second)]
    assert emails == ["alice@example.org", "bob@example.org"]
    _, text = make_key(people.core, "by alice", user=people.alice, kind="management")
    path = f"/api/v1/teams/second/members/{bob.pk}"
    made = with_key(text).patch(path, {"lead": True}, content_type="application/json")
    assert (made.status_code, made.json()["lead"]) == (200, True)


def test_key_of_a_member_without_a_team_works_nowhere(people: Cast) -> None:
    """None of the teams is not all of them."""
    _, text = make_key(people.core, "bobs", user=people.bob)
    for all_teams, joined, works in (
        (True, [], True), (False, [people.core], True), (False, [], False),
    ):  # fmt: skip
        Membership.objects.filter(user=people.bob).update(all_teams=all_teams)
        membership(people).teams.set(joined)
        assert (key_actor(text) is not None) == works, (all_teams, joined)


def test_developer_neither_adds_nor_removes(people: Cast, second: Team) -> None:
    browser = signed_in(people.bob)
    core = f"/o/acme/teams/core/members/{membership(people).pk}/remove"
    for path in ("/o/acme/teams/core/members/add", core):
        assert browser.get(path).status_code == 403
    assert browser.get(ADD).status_code == 403
    page = browser.get("/o/acme/teams/core").content.decode()
    assert "members/add" not in page


def test_nobody_adds_a_role_that_exceeds_theirs(people: Cast, second: Team) -> None:
    """An admin of core alone adds nobody to a team that the admin is not in; an admin in another
    team would be one here, too."""
    eve, eva = member(people.acme, "eve", Role.ADMIN), member(people.acme, "eva", Role.ADMIN)
    for one, team in ((eve, people.core), (eva, second)):
        members.set_member(people.acme, one.email, Role.ADMIN, teams=[team], actor=SYSTEM)
    assert signed_in(eve).get(ADD).status_code == 404
    limited = actor(eve, people.acme)
    team_members.add_to_team(limited, people.core, eva.email)
    row = Membership.objects.get(user=eva, organisation=people.acme)
    with pytest.raises(Refused, match="can do as much as yours"):
        team_members.remove_from_team(limited, people.core, row)


def test_members_of_every_or_no_other_team_stay(people: Cast, second: Team) -> None:
    alice = actor(people.alice, people.acme)
    with pytest.raises(Refused, match="in no other team"):
        team_members.remove_from_team(alice, people.core, membership(people))
    members.set_member(people.acme, people.bob.email, Role.DEVELOPER, teams=None, actor=SYSTEM)
    with pytest.raises(Refused, match="in every team"):
        team_members.remove_from_team(alice, people.core, membership(people))
    with pytest.raises(Refused, match="not a member"):
        team_members.add_to_team(alice, second, people.charlie.email)


def test_removed_members_keys_stop(people: Cast, second: Team) -> None:
    alice = actor(people.alice, people.acme)
    team_members.add_to_team(alice, second, people.bob.email)
    _, text = make_key(second, "bobs", user=people.bob, kind="management")
    assert with_key(text).get("/api/v1/keys").status_code == 200
    team_members.remove_from_team(alice, second, membership(people))
    assert with_key(text).get("/api/v1/keys").status_code == 401


@pytest.mark.parametrize(
    ("role", "limited", "gains"),
    [
        (Role.OWNER, False, False),
        (Role.ADMIN, False, False),
        (Role.ADMIN, True, False),
        (Role.DEVELOPER, False, True),
        (Role.DEVELOPER, True, True),
        (Role.VIEWER, True, True),
    ],
)
def test_useless_lead_role_is_not_offered(
    people: Cast, second: Team, role: Role, limited: bool, gains: bool
) -> None:
    """An admin may do in their teams what a lead may in one."""
    user = member(people.acme, "max", role)
    teams_of = [second] if limited else None
    members.set_member(people.acme, user.email, role, teams=teams_of, actor=SYSTEM)
    row = Membership.objects.get(user=user)
    page = signed_in(people.alice).get("/o/acme/teams/second").content.decode()
    assert f"/o/acme/team/members/{row.pk}" in page
    assert (f"/teams/second/members/{row.pk}/lead" in page) is gains


def test_rejected_removal_explains_itself_in_its_dialog(people: Cast, second: Team) -> None:
    path = f"/o/acme/teams/core/members/{membership(people).pk}/remove"
    alice = signed_in(people.alice)
    refused = alice.post(path)
    assert refused.status_code == 422
    assert "in no other team" in refused.content.decode()
    # What is not possible is not offered.
    assert "in no other team" in alice.get(path).content.decode()
    assert not may_send(alice, path)
    alice.post(ADD, {"email": people.bob.email})
    assert may_send(alice, path)


def test_dialog_says_that_everybody_is_in_the_team(people: Cast, second: Team) -> None:
    alice = signed_in(people.alice)
    assert may_send(alice, ADD)
    alice.post(ADD, {"email": people.bob.email})
    assert "Everyone you can add is already in this team." in alice.get(ADD).content.decode()
    assert not may_send(alice, ADD)


def test_member_is_added_by_an_address_in_capitals(people: Cast, second: Team) -> None:
    team_members.add_to_team(actor(people.alice, people.acme), second, "BOB@Example.org")
    assert slugs(people) == {"core", "second"}


def test_lead_of_one_team_is_added_to_another_by_its_admin(people: Cast, second: Team) -> None:
    """P23: what leads may do in their team is no authority in the other."""
    ann = member(people.acme, "ann", Role.ADMIN)
    members.set_member(people.acme, ann.email, Role.ADMIN, teams=[second], actor=SYSTEM)
    alice = actor(people.alice, people.acme)
    team_members.set_lead(alice, people.core, membership(people), lead=True)
    team_members.add_to_team(actor(ann, people.acme), second, people.bob.email)
    assert slugs(people) == {"core", "second"}


def test_member_of_two_led_teams_is_listed_once(people: Cast, second: Team) -> None:
    alice = actor(people.alice, people.acme)
    team_members.add_to_team(alice, second, people.bob.email)
    for team in (people.core, second):
        team_members.set_lead(alice, team, membership(people), lead=True)
    led = team_members.members_led_by(actor(people.bob, people.acme))
    assert sorted(one.user.email for one in led) == ["alice@example.org", "bob@example.org"]
