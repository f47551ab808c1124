"""The management API of members, invitations and roles."""

import json
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.db import connection
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.keys import service_accounts
from accounts.members import api as member_api
from accounts.members import members
from accounts.members.invitations import Sendable
from accounts.models import CustomRole, Invitation, KeyKind, Membership, Role
from accounts.organisations import teams
from lib.ids import id_text
from tests.accounts.factors import with_app
from tests.support.cast import Cast, make_key, member, with_key

API = "/api/v1"


def manager(people: Cast, user: Any) -> Client:
    """A program with a management key of that person."""
    _, text = make_key(people.core, f"m{user.pk}", user=user, kind=KeyKind.MANAGEMENT)
    return with_key(text)


def send(client: Client, method: str, path: str, body: Any = None) -> Any:
    if method == "get":
        return client.get(f"{API}{path}")
    return getattr(client, method)(
        f"{API}{path}", data=json.dumps(body or {}), content_type="application/json"
    )


def bob_of(people: Cast) -> str:
    return str(Membership.objects.get(user=people.bob).pk)


def test_members_are_listed_shown_changed_and_removed(people: Cast) -> None:
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    client = manager(people, people.alice)
    listed = client.get(f"{API}/members?limit=1").json()
    assert [row["email"] for row in listed["items"]] == ["alice@example.org"]
    listed = client.get(f"{API}/members?limit=1&cursor={listed['next']}").json()
    assert [(row["role"], row["teams"]) for row in listed["items"]] == [("developer", None)]
    path = f"/members/{bob_of(people)}"
    custom_roles.create_role(people.acme, "Auditor", ["audit.read"], actor=SYSTEM)
    changed = send(client, "patch", path, {"role": "auditor", "teams": [second.slug]}).json()
    assert (changed["role"], changed["teams"]) == ("Auditor", ["second"])
    assert send(client, "patch", path, {"teams": None}).json()["teams"] is None
    assert client.get(f"{API}{path}").json()["role"] == "Auditor"
    removed = send(client, "post", f"{path}/remove", {"chats": "delete"})
    assert removed.status_code == 204
    assert client.get(f"{API}{path}").status_code == 404


def test_an_archived_team_stays_in_a_members_list(people: Cast) -> None:
    """What a member's teams are can be sent back; another member does not get an archived one."""
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    members.set_member(
        people.acme, people.bob.email, Role.VIEWER, teams=[people.core, second], actor=SYSTEM
    )
    teams.archive_team(second, actor=SYSTEM)
    client, path = manager(people, people.alice), f"/members/{bob_of(people)}"
    listed = client.get(f"{API}{path}").json()["teams"]
    changed = send(client, "patch", path, {"role": "developer", "teams": listed})
    assert (changed.status_code, changed.json()["teams"]) == (200, ["core", "second"])
    eve = Membership.objects.get(user=member(people.acme, "eve", Role.VIEWER))
    assert send(client, "patch", f"/members/{eve.pk}", {"teams": listed}).status_code == 422


def test_second_factor_is_visible_only_to_managers_of_members(
    people: Cast,
) -> None:
    with_app(people.bob)
    client = manager(people, people.alice)
    rows = client.get(f"{API}/members").json()["items"]
    assert {row["email"]: row["second_factor"] for row in rows} == {
        "alice@example.org": False,
        "bob@example.org": True,
    }
    assert client.get(f"{API}/members/{bob_of(people)}").json()["second_factor"] is True
    bill = member(people.acme, "bill", Role.BILLING)
    rows = manager(people, bill).get(f"{API}/members").json()["items"]
    assert {row["second_factor"] for row in rows} == {None}


def test_a_removed_members_keys_go_where_the_body_says(people: Cast) -> None:
    key, _ = make_key(people.core, "ci", user=people.bob)
    client, path = manager(people, people.alice), f"/members/{bob_of(people)}/remove"
    body = {"chats": "delete", "keys": "transfer", "keys_to": "nobody@example.org"}
    assert send(client, "post", path, body).json()["error"]["param"] == "keys_to"
    body["keys_to"] = "alice@example.org"
    assert send(client, "post", path, body | {"chats": "transfer"}).status_code == 422
    assert send(client, "post", path, body).status_code == 204
    key.refresh_from_db()
    assert key.user == people.alice


def test_invitations_are_made_resent_and_withdrawn(people: Cast) -> None:
    client = manager(people, people.alice)
    body = {"emails": ["a@example.org", "b@example.org"], "role": "viewer"}
    response = send(client, "post", "/invitations", body)
    assert response.status_code == 201
    first, second = response.json()["items"]
    assert (first["state"], first["email_error"]) == ("pending", "")
    assert "/invite/" in first["link"]
    listed = client.get(f"{API}/invitations").json()["items"]
    assert len(listed) == 2
    assert "link" not in listed[0]
    path = f"/invitations/{first['id']}"
    again = send(client, "post", f"{path}/resend").json()
    assert again["link"] != first["link"]
    assert send(client, "delete", path).json()["state"] == "withdrawn"
    assert send(client, "post", f"{path}/resend").status_code == 422
    open_ones = client.get(f"{API}/invitations").json()["items"]
    assert [row["id"] for row in open_ones] == [second["id"]]
    assert len(client.get(f"{API}/invitations?state=all").json()["items"]) == 2


def test_a_repeated_invitation_is_emailed_once_after_its_commit(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P5, I9: no transaction is open while the mail server is asked."""
    client = manager(people, people.alice)
    outside, depths = len(connection.savepoint_ids), list[int]()

    def send_letters(sendables: list[Sendable]) -> dict[str, str]:
        depths.append(len(connection.savepoint_ids))
        return {"a@example.org": "The mail server is away."}

    monkeypatch.setattr(member_api, "send_letters", send_letters)
    body = json.dumps({"emails": ["a@example.org"], "role": "viewer"})
    key = {"Idempotency-Key": "evening"}
    first, again = (
        client.post(f"{API}/invitations", body, content_type="application/json", headers=key)
        for _ in range(2)
    )
    assert (first.status_code, again.status_code) == (201, 201)
    assert again["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    [message] = first.json()["items"]
    assert message["email_error"] == "The mail server is away."
    assert depths == [outside]


def test_a_repeated_invitation_does_not_claim_an_unsent_email(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P5: behind the commit the process ends before it has asked the mail server."""
    client = manager(people, people.alice)
    client.raise_request_exception = False

    def end(*_: Any) -> dict[str, str]:
        raise RuntimeError("the process ended")

    monkeypatch.setattr(member_api, "send_letters", end)
    body = json.dumps({"emails": ["a@example.org"], "role": "viewer"})
    key = {"Idempotency-Key": "evening"}
    first, again = (
        client.post(f"{API}/invitations", body, content_type="application/json", headers=key)
        for _ in range(2)
    )
    assert (first.status_code, again.status_code) == (500, 201)
    assert "not known whether the email was sent" in again.json()["items"][0]["email_error"]


def test_a_service_account_only_resends_invitations_of_people(
    people: Cast, mailoutbox: list[EmailMessage]
) -> None:
    """P23: the invitation is the word of who invited. Without them the link would never work."""
    alice, body = manager(people, people.alice), {"emails": ["a@example.org"], "role": "viewer"}
    made = send(alice, "post", "/invitations", body).json()["items"][0]
    account = service_accounts.create_service_account(
        people.core, "deployer", Role.ADMIN, actor=SYSTEM
    )
    people.core.organisation.invitations.update(all_teams=False)
    people.core.organisation.invitations.get().teams.set([people.core])
    _, text = make_key(people.core, "robot", service_account=account, kind=KeyKind.MANAGEMENT)
    robot, path = with_key(text), f"/invitations/{made['id']}/resend"
    again = send(robot, "post", path).json()
    assert (again["email_error"], again["invited_by"]) == ("", "alice@example.org")
    assert again["link"] != made["link"]
    assert len(mailoutbox) == 2
    Invitation.objects.update(invited_by=None)
    refused = send(robot, "post", path)
    assert refused.status_code == 422
    assert "Only a person can invite others" in refused.json()["error"]["message"]
    assert len(mailoutbox) == 2
    assert send(alice, "post", path).json()["email_error"] == ""


def test_roles_are_made_changed_and_deleted(people: Cast) -> None:
    client = manager(people, people.alice)
    body = {"name": "Auditor", "permissions": ["audit.read"]}
    response = send(client, "post", "/roles", body)
    assert response.status_code == 201
    path = f"/roles/{response.json()['id']}"
    assert send(client, "patch", path, {"name": "Reader"}).json() == {
        "id": response.json()["id"], "name": "Reader", "built_in": False,
        "permissions": ["audit.read"],
    }  # fmt: skip
    names = [row["name"] for row in client.get(f"{API}/roles").json()["items"]]
    assert names == ["owner", "admin", "billing", "developer", "viewer", "Reader"]
    assert send(client, "delete", path).status_code == 204
    assert client.get(f"{API}{path}").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("patch", "/members/{member}", {"role": "owner", "operator": True}),
        ("patch", "/members/{member}", {"email": "x@example.org"}),
        ("post", "/members/{member}/remove", {"chats": "delete", "organisation": "acme"}),
        ("post", "/invitations", {"role": "viewer", "organisation": "acme"}),
        ("post", "/invitations/{invitation}/resend", {"invited_by": 1}),
        ("post", "/roles", {"name": "x", "permissions": [], "built_in": True}),
        ("patch", "/roles/{role}", {"id": "x"}),
    ],
)
def test_unknown_fields_are_refused(
    people: Cast, method: str, path: str, body: dict[str, Any]
) -> None:
    client = manager(people, people.alice)
    answer = send(client, method, path.format(**things(people, client)), body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unknown_parameter"


def things(people: Cast, client: Client) -> dict[str, str]:
    created = send(client, "post", "/invitations", {"role": "viewer"}).json()["items"][0]
    role = custom_roles.create_role(people.acme, "reader", ["audit.read"], actor=SYSTEM)
    return {"member": bob_of(people), "invitation": created["id"], "role": id_text(role.id)}


OPERATIONS = [
    ("get", "/members/{member}", None),
    ("patch", "/members/{member}", {"role": "viewer"}),
    ("post", "/members/{member}/remove", {"chats": "delete"}),
    ("get", "/invitations/{invitation}", None),
    ("post", "/invitations/{invitation}/resend", {}),
    ("delete", "/invitations/{invitation}", None),
    ("get", "/roles/{role}", None),
    ("patch", "/roles/{role}", {"name": "x"}),
    ("delete", "/roles/{role}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), OPERATIONS)
def test_foreign_and_missing_look_the_same(people: Cast, method: str, path: str, body: Any) -> None:
    """P12"""
    theirs = things(people, manager(people, people.alice))
    missing = {"member": "99999999", "invitation": id_text(people.acme.id),
               "role": id_text(people.acme.id)}  # fmt: skip
    _, text = make_key(
        people.stranger.teams.get(), "m", user=people.charlie, kind=KeyKind.MANAGEMENT
    )
    charlie = with_key(text)
    answers = [send(charlie, method, path.format(**ids), body) for ids in (theirs, missing)]
    assert [answer.status_code for answer in answers] == [404, 404]
    bodies = [answer.json() | {"request_id": ""} for answer in answers]
    assert bodies[0] == bodies[1]
    assert Membership.objects.filter(user=people.bob).exists()
    assert Invitation.objects.filter(withdrawn_at=None).exists()
    assert CustomRole.objects.get().name == "reader"


def test_developer_reads_only_themselves_and_writes_nothing(people: Cast) -> None:
    """P12"""
    ids = things(people, manager(people, people.alice))
    bob = manager(people, people.bob)
    assert [row["email"] for row in bob.get(f"{API}/members").json()["items"]] == [
        "bob@example.org"
    ]
    assert bob.get(f"{API}/invitations?state=all").json()["items"] == []
    assert len(bob.get(f"{API}/roles").json()["items"]) == 5
    assert send(bob, "post", "/invitations", {"role": "viewer"}).status_code == 403
    assert send(bob, "post", "/roles", {"name": "x", "permissions": []}).status_code == 403
    assert send(bob, "patch", "/members/{member}".format(**ids), {"role": "owner"}).status_code == (
        403
    )
    _, text = make_key(people.core, "model", user=people.alice)
    for path in ("/members", "/invitations", "/roles"):
        assert with_key(text).get(f"{API}{path}").status_code == 403


def test_admin_key_grants_no_more_than_an_admin(people: Cast) -> None:
    """P23"""
    ann = member(people.acme, "ann", Role.ADMIN)
    client = manager(people, ann)
    path = f"/members/{bob_of(people)}"
    for body in ({"role": "owner"}, {"role": "billing"}):
        assert send(client, "patch", path, body).status_code == 422
        assert send(client, "post", "/invitations", body).status_code == 422
    mine = f"/members/{Membership.objects.get(user=ann).pk}"
    assert send(client, "patch", mine, {"role": "viewer"}).status_code == 403
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    members.set_member(
        people.acme, ann.email, Role.ADMIN, teams=[second, people.core], actor=SYSTEM
    )
    assert send(client, "post", "/invitations", {"role": "viewer"}).status_code == 422
    within = {"role": "viewer", "teams": ["second"]}
    assert send(client, "post", "/invitations", within).status_code == 201
