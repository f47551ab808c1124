import datetime as dt
import json
from typing import Any

from django.test import Client

from accounts.access.actors import SYSTEM, key_actor
from accounts.members import members
from accounts.models import AuditEvent, Role, SingleSignOn
from accounts.organisations import organisations
from lib import clock
from tests.accounts.factors import with_app
from tests.support.cast import Cast, confirmed, make_key, member, signed_in

API = "/api/v1"


def operator(people: Cast) -> Client:
    """dora signed in, with the header that her page would send."""
    return signed_in(people.dora)


def send(client: Client, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    return client.generic(
        method.upper(), f"{API}{path}", json.dumps(body or {}), "application/json"
    )


def test_an_operator_makes_suspends_and_restores(people: Cast) -> None:
    dora = operator(people)
    response = send(dora, "post", "/organisations", {"name": "New"})
    assert (response.status_code, response.json()["slug"]) == (201, "new")
    _, text = make_key(people.core, "ci", user=people.bob)
    for stop, again, body in (
        ("suspend", "unsuspend", {"reason": "unpaid"}),
        ("archive", "restore", {}),
    ):
        assert send(dora, "post", f"/organisations/acme/{stop}", body).status_code == 200
        assert key_actor(text) is None
        assert send(dora, "post", f"/organisations/acme/{again}").status_code == 200
        assert key_actor(text) is not None
    listed = dora.get(f"{API}/organisations").json()["items"]
    assert [row["slug"] for row in listed] == ["new", "stranger", "acme"]
    given = {"name": "Given", "owner": people.bob.email}
    assert send(dora, "post", "/organisations", given).status_code == 201
    assert people.bob.memberships.get(organisation__slug="given").role == Role.OWNER


def test_an_operator_deactivates_a_person(people: Cast) -> None:
    dora = operator(people)
    path = f"/people/{people.bob.pk}"
    assert send(dora, "patch", path, {"active": False}).json()["active"] is False
    assert send(dora, "patch", path, {"active": True}).json()["active"] is True
    refused = send(dora, "patch", f"/people/{people.alice.pk}", {"active": False})
    assert refused.status_code == 422
    emails = [row["email"] for row in dora.get(f"{API}/people").json()["items"]]
    assert "bob@example.org" in emails


def test_an_operator_resets_a_second_factor_and_ends_sessions(people: Cast) -> None:
    bob = with_app(people.bob).browser
    dora = operator(people)
    path = f"/people/{people.bob.pk}"
    listed = {row["email"]: row for row in dora.get(f"{API}/people").json()["items"]}
    assert listed["bob@example.org"]["second_factor"] is True
    assert listed["alice@example.org"]["second_factor"] is False
    assert send(dora, "patch", path, {"active": True}).json() == listed["bob@example.org"]
    assert send(dora, "post", f"{path}/reset-second-factor").json()["second_factor"] is False
    assert bob.get("/o/acme/keys").status_code == 302
    again = signed_in(people.bob)
    assert again.get("/o/acme/keys").status_code == 200
    assert send(dora, "post", f"{path}/end-sessions").json() == {"ended": 1}
    assert again.get("/o/acme/keys").status_code == 302
    confirmed(dora, people.dora, clock.now() - dt.timedelta(hours=1))
    assert send(dora, "post", f"{path}/reset-second-factor").status_code == 403


def test_only_operators_manage_organisations(people: Cast) -> None:
    admin = member(people.acme, "ann", Role.ADMIN)
    for user in (people.alice, admin, people.bob):
        client = signed_in(user)
        assert client.get(f"{API}/organisations").status_code == 403
        assert client.get(f"{API}/people").status_code == 403
        for path in ("suspend", "unsuspend", "archive", "restore"):
            answer = send(client, "post", f"/organisations/stranger/{path}", {"reason": "x"})
            assert answer.status_code == 403, path
        answer = send(client, "patch", f"/people/{people.charlie.pk}", {"active": False})
        assert answer.status_code == 403
        for path in ("end-sessions", "reset-second-factor"):
            answer = send(client, "post", f"/people/{people.charlie.pk}/{path}")
            assert answer.status_code == 403, path


def test_operator_meets_the_requirements_of_the_organisation_named(people: Cast) -> None:
    """F13: the organisation that the header names, not the one that the session visited last."""
    dora, there = operator(people), {"X-Weir-Organisation": "stranger"}
    for organisation in (people.acme, people.stranger):
        members.set_member(organisation, people.dora.email, Role.ADMIN, actor=SYSTEM)
    for organisation, expected in ((people.stranger, (403, 200)), (people.acme, (200, 403))):
        organisation.second_factor_roles = [Role.ADMIN]
        organisation.save(update_fields=["second_factor_roles"])
        named, last = dora.get(f"{API}/keys", headers=there), dora.get(f"{API}/keys")
        assert (named.status_code, last.status_code) == expected
        organisation.second_factor_roles = []
        organisation.save(update_fields=["second_factor_roles"])
    SingleSignOn.objects.create(
        organisation=people.stranger, issuer="https://login.example", client_id="c", required=True
    )
    refused = dora.get(f"{API}/keys", headers=there)
    assert refused.status_code == 403
    assert "requires single sign-on" in refused.json()["error"]["message"]


def test_an_operator_adds_members_where_they_own_or_nobody_does(people: Cast) -> None:
    """P23: elsewhere an operator grants nothing; a person who is a member already is 409."""
    dora = operator(people)
    assert send(dora, "post", "/organisations", {"name": "New"}).status_code == 201
    body = {"email": "eve@example.org", "role": "developer", "teams": ["core"]}

    def add(organisation: str, body: dict[str, Any]) -> Any:
        headers = {"X-Weir-Organisation": organisation}
        return dora.post(f"{API}/members", body, "application/json", headers=headers)

    created = add("new", body)
    assert (created.status_code, created.json()["teams"]) == (201, ["core"])
    there = {"X-Weir-Organisation": "new"}
    read = dora.get(f"{API}/members/{created.json()['id']}", headers=there)
    assert read.json()["email"] == "eve@example.org"
    assert add("new", body).status_code == 409
    assert add("new", {**body, "email": "nobody"}).status_code == 422
    event = AuditEvent.objects.get(action="member.set", actor_user_id=people.dora.pk)
    assert event.detail["after"]["role"] == "developer"
    refused = add("acme", {"email": "eve@example.org", "role": "viewer"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "role")
    # An imported organisation has nobody: any operator gives it an owner, and nothing after that.
    organisations.create_organisation("Imported", owner=None, actor=SYSTEM)
    assert add("imported", {"email": "eve@example.org", "role": "owner"}).status_code == 201
    assert add("imported", {"email": "bob@example.org", "role": "viewer"}).status_code == 422
    owner = signed_in(people.alice)
    answer = owner.post(f"{API}/members", body, "application/json")
    assert answer.status_code == 403
