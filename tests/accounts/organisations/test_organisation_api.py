import json
from typing import Any

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.models import KeyKind, Project, Role, Team
from accounts.organisations import projects, teams
from tests.support.cast import Cast, make_key, with_key

API = "/api/v1"


def owner(people: Cast) -> Client:
    _, text = make_key(people.core, "admin", kind=KeyKind.MANAGEMENT, user=people.alice)
    return with_key(text)


def patch(client: Client, path: str, body: dict[str, Any]) -> Any:
    return client.patch(f"{API}{path}", json.dumps(body), "application/json")


def post(client: Client, path: str, body: dict[str, Any]) -> Any:
    return client.post(f"{API}{path}", json.dumps(body), "application/json")


def test_the_organisation_is_read_and_changed(people: Cast) -> None:
    client = owner(people)
    assert client.get(f"{API}/organisation").json()["slug"] == "acme"
    body = {"name": "Acme Ltd.", "required_labels": ["project"], "second_factor_roles": ["owner"]}
    changed = patch(client, "/organisation", body).json()
    assert {name: changed[name] for name in body} == body
    for wrong in (
        {"name": ""},
        {"required_labels": ["colour"]},
        {"retention_hours": 25},
        {"client_address_days": 366},
        {"second_factor_roles": ["king"]},
    ):
        assert patch(client, "/organisation", wrong).status_code == 422, wrong
    assert patch(client, "/organisation", {"nam": "x"}).status_code == 400


def test_teams_and_projects_are_made_changed_and_listed(people: Cast) -> None:
    client = owner(people)
    assert post(client, "/teams", {"name": "Search"}).json()["slug"] == "search"
    assert post(client, "/teams", {"name": "Search"}).status_code == 409
    assert post(client, "/projects", {"name": "Bot", "team": "search"}).status_code == 201
    moved = patch(client, "/projects/bot", {"team": "core", "archived": True}).json()
    assert (moved["team"], moved["archived_at"] is not None) == ("core", True)
    changed = patch(client, "/teams/search", {"name": "Ads", "archived": True}).json()
    assert (changed["name"], changed["archived_at"] is not None) == ("Ads", True)
    # What the API shows can be sent back, also of a team that is archived.
    assert post(client, "/projects", {"name": "Old", "team": "core"}).status_code == 201
    Project.objects.filter(slug="old").update(team=Team.objects.get(slug="search"))
    body = {"name": "Older", "team": "search"}
    assert patch(client, "/projects/old", body).json()["name"] == "Older"
    assert patch(client, "/projects/bot", {"team": "search"}).status_code == 404
    Project.objects.filter(slug="old").delete()
    refused = patch(client, "/teams/core", {"archived": True})
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "team")
    assert [row["slug"] for row in client.get(f"{API}/teams").json()["items"]] == ["search", "core"]
    assert [row["slug"] for row in client.get(f"{API}/projects").json()["items"]] == ["bot"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("get", "/teams/other", None),
        ("patch", "/teams/other", {"name": "x"}),
        ("get", "/projects/other", None),
        ("patch", "/projects/other", {"name": "x"}),
        ("post", "/projects", {"name": "x", "team": "other"}),
    ],
)
def test_foreign_and_missing_look_alike(
    people: Cast, method: str, path: str, body: dict[str, Any] | None
) -> None:
    client = owner(people)
    asked = {"data": json.dumps(body), "content_type": "application/json"} if body else {}
    missing = getattr(client, method)(f"{API}{path}", **asked)
    team = teams.create_team(people.stranger, "other", actor=SYSTEM)
    projects.create_project(team, "other", actor=SYSTEM)
    foreign = getattr(client, method)(f"{API}{path}", **asked)
    assert missing.status_code == foreign.status_code == 404
    assert missing.json()["error"] == foreign.json()["error"]


def test_unpermitted_role(people: Cast) -> None:
    members.set_member(people.acme, people.bob.email, Role.BILLING, actor=SYSTEM)
    _, text = make_key(people.core, "bobs", kind=KeyKind.MANAGEMENT, user=people.bob)
    client = with_key(text)
    assert client.get(f"{API}/teams").status_code == 200
    for path, body in (("/organisation", {"name": "x"}), ("/teams/core", {"name": "x"})):
        assert patch(client, path, body).status_code == 403
