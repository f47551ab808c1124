"""The lead of a team, at each door: keys, members, usage and budgets of that team, and nothing
beyond (P23)."""

import datetime as dt
import json
from typing import Any

import pytest
from django.test import Client

from accounts.access import access
from accounts.access.access import AccessDenied
from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.keys import keys, service_accounts
from accounts.keys.keys import KeyRefused
from accounts.keys.limited_subjects import limited_subjects
from accounts.members import members, team_members
from accounts.members.members import authority_of
from accounts.models import AuditEvent, Key, KeyKind, Membership, Role, Team, User
from accounts.organisations import teams
from accounts.roles.authority import first_action_beyond, outranks
from accounts.roles.rules import LEAD_ACTIONS
from billing.limits.budget_increases import ask_for_more
from billing.limits.budgets import BudgetRefused
from billing.models import Budget, RaiseState
from lib import clock
from lib.ids import id_text
from lib.refusal import Refused
from tests.support.cast import Cast, actor, make_key, member, signed_in, with_key
from usage.limits.budget_simulation import create_budget

API = "/api/v1"


@pytest.fixture
def side(people: Cast) -> Team:
    """A second team; bob, a developer of every team, leads core."""
    side = teams.create_team(people.acme, "side", actor=SYSTEM)
    team_members.set_lead(SYSTEM, people.core, membership(people, people.bob), True)
    return side


@pytest.fixture
def eve(people: Cast, side: Team) -> User:
    """A developer of core alone."""
    eve = member(people.acme, "eve", Role.DEVELOPER)
    members.set_member(people.acme, eve.email, Role.DEVELOPER, teams=[people.core], actor=SYSTEM)
    return eve


def membership(people: Cast, user: User) -> Membership:
    return Membership.objects.get(user=user, organisation=people.acme)


def program_of(people: Cast, user: User) -> Client:
    _, text = make_key(people.core, f"of {user.email}", user=user, kind="management")
    return with_key(text)


def send(client: Client, method: str, path: str, body: Any = None) -> int:
    answer = client.generic(
        method, path, "" if body is None else json.dumps(body), "application/json"
    )
    return answer.status_code


def budget_of(people: Cast, scope: str, subject: object, amount: int) -> Budget:
    return create_budget(
        actor(people.alice, people.acme), people.acme, scope=scope, subject=str(subject),
        amount_nano=amount * 10**9, period="month",
    )  # fmt: skip


# Who makes one ----------------------------------------------------------------------------------


def test_team_managers_make_leads_by_page_and_api(people: Cast, side: Team, eve: User) -> None:
    row = membership(people, eve)
    path = f"/o/acme/teams/core/members/{row.pk}/lead"
    assert signed_in(people.alice).post(path, {"lead": "1"}).status_code == 303
    row.refresh_from_db()
    assert row.leads == [people.core.pk]
    event = AuditEvent.objects.filter(action="member.set").latest("id")
    assert event.detail["after"]["leads"] == ["core"]
    program = program_of(people, people.alice)
    assert send(program, "PATCH", f"{API}/teams/core/members/{row.pk}", {"lead": False}) == 200
    row.refresh_from_db()
    assert row.leads == []


def test_lead_makes_no_lead(people: Cast, side: Team, eve: User) -> None:
    row = membership(people, eve)
    path = f"/o/acme/teams/core/members/{row.pk}/lead"
    assert signed_in(people.bob).post(path, {"lead": "1"}).status_code == 403
    program = program_of(people, people.bob)
    assert send(program, "PATCH", f"{API}/teams/core/members/{row.pk}", {"lead": True}) == 403


def test_admin_of_another_team_makes_no_lead(people: Cast, side: Team, eve: User) -> None:
    ada = member(people.acme, "ada", Role.ADMIN)
    members.set_member(people.acme, ada.email, Role.ADMIN, teams=[side], actor=SYSTEM)
    path = f"/o/acme/teams/core/members/{membership(people, eve).pk}/lead"
    assert signed_in(ada).post(path, {"lead": "1"}).status_code == 404
    with pytest.raises(Refused):
        team_members.set_lead(
            actor(ada, people.acme), people.core, membership(people, eve), lead=True
        )


# What one may -----------------------------------------------------------------------------------


def test_a_lead_reaches_their_team_and_no_other(people: Cast, side: Team) -> None:
    lead = actor(people.bob, people.acme)
    for action in LEAD_ACTIONS:
        assert access.reaches_team(lead, action, people.core.id), action
        assert not access.reaches_team(lead, action, side.id), action
    plain = actor(people.charlie, people.acme)
    assert not any(access.reaches_team(plain, action, people.core.id) for action in LEAD_ACTIONS)


def test_keys_of_the_team(people: Cast, side: Team, eve: User) -> None:
    hers, _ = make_key(people.core, "hers", user=eve)
    other, _ = make_key(side, "other", user=people.alice)
    own, _ = make_key(side, "own", user=people.bob)
    lead = actor(people.bob, people.acme)
    assert {hers, own} <= set(access.visible_keys(lead))
    assert other not in access.visible_keys(lead)
    browser, program = signed_in(people.bob), program_of(people, people.bob)
    for key, page, status in ((hers, 200, 200), (other, 404, 404)):
        id = id_text(key.id)
        assert browser.get(f"/o/acme/keys/{id}/edit").status_code == page
        assert browser.get(f"/o/acme/keys/{id}/rotate").status_code == page
        assert browser.get(f"/o/acme/keys/{id}/revoke").status_code == page
        assert send(program, "PATCH", f"{API}/keys/{id}", {"disabled": True}) == status
        assert send(program, "POST", f"{API}/keys/{id}/rotate", {}) == status
        assert send(program, "DELETE", f"{API}/keys/{id}") == status


def test_lead_creates_keys_for_others_only_in_the_team(people: Cast, side: Team, eve: User) -> None:
    lead = actor(people.bob, people.acme)
    key, _ = keys.mint_key(lead, people.core, "for eve", user=eve)
    assert key.user == eve
    with pytest.raises(KeyRefused):
        keys.mint_key(lead, side, "for alice", user=people.alice)
    browser = signed_in(people.bob)
    new = {"name": "page", "kind": "relay", "owner": str(membership(people, eve).pk)}
    assert browser.post("/o/acme/keys/new", new | {"team": "core"}).status_code == 200
    assert Key.objects.get(name="page").user == eve
    assert browser.post("/o/acme/keys/new", new | {"name": "no", "team": "side"}).status_code == 422
    assert not Key.objects.filter(name="no").exists()


def test_service_accounts_stay_within_the_leads_role(people: Cast, side: Team) -> None:
    program = program_of(people, people.bob)
    for name, team, role, status in (
        ("robot", "core", "developer", 201), ("boss", "core", "admin", 422),
        ("spy", "side", "developer", 403),
    ):  # fmt: skip
        body = {"name": name, "team": team, "role": role}
        assert send(program, "POST", f"{API}/service-accounts", body) == status, name
    elsewhere = service_accounts.create_service_account(side, "elsewhere", actor=SYSTEM)
    with pytest.raises(KeyRefused):
        keys.mint_key(
            actor(people.bob, people.acme), side, "k", user=None, service_account=elsewhere
        )


def test_a_service_key_leads_nothing(people: Cast, side: Team, eve: User) -> None:
    """A lead's service account has its own role; it does not lead the team."""
    lead = actor(people.bob, people.acme)
    robot = service_accounts.create_service_account(people.core, "robot", actor=lead)
    _, text = keys.mint_key(
        lead, people.core, "r", kind=KeyKind.MANAGEMENT, user=None, service_account=robot
    )
    program = with_key(text)
    path = f"{API}/teams/core/members"
    assert send(program, "POST", path, {"email": "eve@example.org"}) == 403
    assert send(program, "DELETE", f"{path}/{membership(people, eve).pk}") == 403
    hers, _ = make_key(people.core, "hers", user=eve)
    assert send(program, "DELETE", f"{API}/keys/{id_text(hers.id)}") == 404


def test_members_of_the_team(people: Cast, side: Team, eve: User) -> None:
    zoe = member(people.acme, "zoe", Role.DEVELOPER)
    members.set_member(people.acme, zoe.email, Role.DEVELOPER, teams=[side], actor=SYSTEM)
    browser, program = signed_in(people.bob), program_of(people, people.bob)
    path = "/o/acme/teams/core/members/add"
    assert zoe.email not in browser.get(path).content.decode()
    assert browser.post(path, {"email": zoe.email}).status_code == 303
    assert people.core in membership(people, zoe).teams.all()
    row = f"{API}/teams/core/members/{membership(people, zoe).pk}"
    assert send(program, "DELETE", row) == 204
    assert browser.get("/o/acme/teams/side/members/add").status_code == 403
    for_side = f"{API}/teams/side/members"
    assert send(program, "POST", for_side, {"email": eve.email}) == 403
    # Neither the organisation nor the roles of its members.
    assert browser.get(f"/o/acme/team/members/{membership(people, eve).pk}/edit").status_code == 403
    assert browser.get("/o/acme/team/invite").status_code in (403, 404)


@pytest.mark.parametrize("limited", ["lead", "admin of a team"])
def test_no_list_of_people_and_one_answer_about_strangers(
    people: Cast, side: Team, limited: str
) -> None:
    """P12: who may not see the members of other teams types an address, and a refusal does not say
    whether it belongs to a member."""
    boss = member(people.acme, "boss", Role.ADMIN)
    members.set_member(people.acme, boss.email, Role.ADMIN, teams=[side], actor=SYSTEM)
    user = people.bob
    if limited != "lead":
        user = member(people.acme, "ada", Role.VIEWER)
        rights = ["teams.read", "team_members.write", "members.read"]
        role = custom_roles.create_role(people.acme, "staff", rights, actor=SYSTEM)
        members.set_member(
            people.acme, user.email, Role.CUSTOM, teams=[people.core], custom_role=role,
            actor=SYSTEM,
        )  # fmt: skip
    browser, path = signed_in(user), "/o/acme/teams/core/members/add"
    assert boss.email not in browser.get(path).content.decode()
    answers = []
    for email in (boss.email, "nobody@example.org"):
        refused = browser.post(path, {"email": email})
        assert refused.status_code == 422
        answers.append(refused.content.decode().replace(email, "").replace("boss", ""))
    assert "You cannot add this address" in answers[0]


def test_no_one_more_powerful_is_added_or_removed(people: Cast, side: Team) -> None:
    ada = member(people.acme, "ada", Role.ADMIN)
    members.set_member(people.acme, ada.email, Role.ADMIN, teams=[side], actor=SYSTEM)
    lead = actor(people.bob, people.acme)
    with pytest.raises(Refused, match="cannot add this address"):
        team_members.add_to_team(lead, people.core, ada.email)
    members.set_member(people.acme, ada.email, Role.ADMIN, teams=[side, people.core], actor=SYSTEM)
    with pytest.raises(Refused, match="can do as much as yours"):
        team_members.remove_from_team(lead, people.core, membership(people, ada))
    other = member(people.acme, "lin", Role.DEVELOPER)
    members.set_member(
        people.acme, other.email, Role.DEVELOPER, teams=[side, people.core], actor=SYSTEM
    )
    team_members.set_lead(SYSTEM, people.core, membership(people, other), True)
    with pytest.raises(Refused, match="can do as much as yours"):
        team_members.remove_from_team(lead, people.core, membership(people, other))


def test_the_page_of_the_team_shows_what_a_lead_does(people: Cast, side: Team, eve: User) -> None:
    browser = signed_in(people.bob)
    page = browser.get("/o/acme/teams/core").content.decode()
    assert "members/add" in page
    assert eve.email in page or "Eve" in page
    assert "budgets/new?scope=team" not in page
    assert "members/add" not in browser.get("/o/acme/teams/side").content.decode()


# Budgets ----------------------------------------------------------------------------------------


def test_budgets_of_keys_and_members_up_to_the_teams_own(
    people: Cast, side: Team, eve: User
) -> None:
    hers, _ = make_key(people.core, "hers", user=eve)
    other, _ = make_key(side, "other", user=people.alice)
    own = budget_of(people, "team", people.core.id, 100)
    program = program_of(people, people.bob)

    def create(scope: str, subject: str, amount: str) -> int:
        body = {"scope": scope, "subject": subject, "amount": amount, "period": "month"}
        return send(program, "POST", f"{API}/budgets", body)

    key = id_text(hers.id)
    assert create("key", key, "100.01") == 422
    assert create("key", key, "100") == 201
    assert create("user", eve.email, "101") == 422
    assert create("user", eve.email, "50") == 201
    assert create("key", id_text(other.id), "1") == 422
    assert create("user", people.alice.email, "1") == 422
    for scope, subject in (("team", "core"), ("team", "side"), ("organisation", "")):
        assert create(scope, subject, "1") == 422
    budget = Budget.objects.get(scope="key")
    path = f"{API}/budgets/{budget.id}"
    assert send(program, "PATCH", path, {"amount": "100.5"}) == 422
    assert send(program, "PATCH", path, {"amount": "10"}) == 200
    assert send(program, "DELETE", path) == 204
    team_path = f"{API}/budgets/{own.id}"
    assert send(program, "GET", team_path) == 200
    assert send(program, "PATCH", team_path, {"amount": "1000"}) == 422
    assert send(program, "DELETE", team_path) == 422


def test_the_page_refuses_the_same(people: Cast, side: Team, eve: User) -> None:
    make_key(people.core, "hers", user=eve)
    own = budget_of(people, "team", people.core.id, 100)
    browser = signed_in(people.bob)
    new = {"scope": "key", "subject": "hers", "period": "month", "timezone": "UTC"}
    refused = browser.post("/o/acme/budgets/new", new | {"amount": "101"})
    assert refused.status_code == 422
    assert "own budget is 100" in refused.content.decode()
    assert browser.post("/o/acme/budgets/new", new | {"amount": "99"}).status_code == 303
    for budget, may_edit in ((Budget.objects.get(scope="key"), True), (own, False)):
        page = browser.get(f"/o/acme/budgets/{budget.id}").content.decode()
        assert (f'/o/acme/budgets/{budget.id}/edit"' in page) is may_edit
    assert browser.post(f"/o/acme/budgets/{own.id}/edit", {"amount": "1000"}).status_code == 422
    own.refresh_from_db()
    assert own.amount_nano == 100 * 10**9


def test_budget_of_a_member_of_other_teams_is_out_of_reach(
    people: Cast, side: Team, eve: User
) -> None:
    """It would bind the member in the other team."""
    members.set_member(
        people.acme, eve.email, Role.DEVELOPER, teams=[people.core, side], actor=SYSTEM
    )
    with pytest.raises(BudgetRefused):
        create_budget(
            actor(people.bob, people.acme), people.acme, scope="user", subject=str(eve.id),
            amount_nano=1, period="month",
        )  # fmt: skip


@pytest.mark.parametrize("scope", ["team", "key", "user"])
def test_lead_cannot_grant_their_own_increase(people: Cast, side: Team, scope: str) -> None:
    """An increase is beyond what was set: who leads the team asks for it as everybody does."""
    members.set_member(
        people.acme, people.bob.email, Role.DEVELOPER, teams=[people.core], actor=SYSTEM
    )
    budget_of(people, "team", people.core.id, 100)
    key, _ = make_key(people.core, "own", user=people.bob)
    subject = {"team": people.core.id, "key": key.id, "user": people.bob.id}[scope]
    budget = Budget.objects.filter(scope=scope).first() or budget_of(people, scope, subject, 10)
    asked = ask_for_more(
        actor(people.bob, people.acme), budget, amount_nano=10**9,
        until=clock.now() + dt.timedelta(days=1), reason="more",
    )  # fmt: skip
    browser, program = signed_in(people.bob), program_of(people, people.bob)
    id = id_text(asked.id)
    page = f"/o/acme/budgets/requests/{id}"
    assert f"{page}/approve" not in browser.get(page).content.decode()
    for decision in ("approve", "deny", "end"):
        answer = {"answer": "yes"}
        assert browser.post(f"{page}/{decision}", answer).status_code == 403
        path = f"{API}/budget-requests/{id}/{decision}"
        assert send(program, "POST", path, answer if decision != "end" else None) == 403
    asked.refresh_from_db()
    budget.refresh_from_db()
    assert (asked.state, budget.raised_nano) == (RaiseState.WAITING, 0)
    assert signed_in(people.alice).post(f"{page}/approve").status_code == 303
    asked.refresh_from_db()
    assert asked.state == RaiseState.APPROVED


def test_lead_sets_no_limits(people: Cast, side: Team) -> None:
    assert limited_subjects(actor(people.bob, people.acme)) == []
    body = {"scope": "team", "subject": "core", "rpm": 5}
    assert send(program_of(people, people.bob), "PATCH", f"{API}/limits", body) == 404


# The end of it ----------------------------------------------------------------------------------


def test_removed_lead_leads_the_team_no_more(people: Cast, side: Team) -> None:
    alice = actor(people.alice, people.acme)
    both = [people.core, side]
    members.set_member(people.acme, people.bob.email, Role.DEVELOPER, teams=both, actor=SYSTEM)
    program = program_of(people, people.bob)
    assert send(program, "GET", f"{API}/keys") == 200
    team_members.remove_from_team(alice, people.core, membership(people, people.bob))
    assert membership(people, people.bob).leads == []
    assert send(program, "GET", f"{API}/keys") == 401
    team_members.add_to_team(alice, people.core, people.bob.email)
    assert signed_in(people.bob).get("/o/acme/teams/core/members/add").status_code == 403


def test_moving_a_lead_to_other_teams_ends_it_too(people: Cast, side: Team) -> None:
    members.set_member(people.acme, people.bob.email, Role.DEVELOPER, teams=[side], actor=SYSTEM)
    assert membership(people, people.bob).leads == []
    with pytest.raises(AccessDenied):
        access.require(actor(people.bob, people.acme), "keys.write")


# The rules --------------------------------------------------------------------------------------


def test_a_lead_exceeds_a_developer_and_no_other_lead(people: Cast, side: Team, eve: User) -> None:
    lead, plain = (
        authority_of(membership(people, people.bob)),
        authority_of(membership(people, eve)),
    )
    assert first_action_beyond(plain, lead) is None
    assert outranks(lead, plain)
    team_members.set_lead(SYSTEM, side, membership(people, people.bob), True)
    team_members.set_lead(SYSTEM, people.core, membership(people, people.bob), False)
    elsewhere = authority_of(membership(people, people.bob))
    assert first_action_beyond(lead, elsewhere) is not None
    assert not outranks(elsewhere, lead)
