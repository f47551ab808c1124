"""W52: who may change teams and projects, and that nothing of others is reached."""

import re

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.models import Project, Role, Team
from accounts.organisations import projects, teams
from tests.support.cast import Cast, signed_in

NEW = "/o/acme/teams/new"


@pytest.fixture
def alice(people: Cast) -> Client:
    return signed_in(people.alice)


def test_team_is_created_changed_and_archived(people: Cast, alice: Client) -> None:
    assert alice.get(NEW).status_code == 200
    response = alice.post(NEW, {"name": "Search", "required_labels": ["project"]})
    assert response.headers["Location"] == "/o/acme/teams/search"
    team = Team.objects.get(slug="search")
    assert team.required_labels == ["project"]
    alice.post("/o/acme/teams/search/edit", {"name": "Ads"})
    team.refresh_from_db()
    assert (team.name, team.required_labels) == ("Ads", [])
    alice.post("/o/acme/teams/search/archive")
    team.refresh_from_db()
    assert team.archived_at is not None
    alice.post("/o/acme/teams/search/restore")
    team.refresh_from_db()
    assert team.archived_at is None
    alice.post("/o/acme/teams/search/archive")
    text = alice.post("/o/acme/teams/core/archive", follow=True).content.decode()
    assert "at least one active team" in text


def test_a_wrong_name_stays_in_the_dialog(people: Cast, alice: Client) -> None:
    for name in ("", "x" * 121, "core"):
        refused = alice.post(NEW, {"name": name})
        assert refused.status_code == 422, name
    assert Team.objects.filter(organisation=people.acme).count() == 1


def test_project_of_an_archived_team_stays_in_it(people: Cast, alice: Client) -> None:
    """Another name does not move it: its keys would work again, at another team's limits."""
    old = teams.create_team(people.acme, "old", actor=SYSTEM)
    projects.create_project(old, "Bot", actor=SYSTEM)
    teams.archive_team(old, actor=SYSTEM)
    page = alice.get("/o/acme/projects/bot/edit").content.decode()
    assert re.findall(r'<option value="(\w+)" selected>([^<]+)<', page) == [
        ("old", "old (archived)")
    ]
    saved = alice.post("/o/acme/projects/bot/edit", {"name": "Robot", "team": "old"})
    assert saved["Location"] == "/o/acme/teams/old"
    project = Project.objects.get()
    assert (project.name, project.team) == ("Robot", old)
    # Nothing else gets into the team.
    alice.post("/o/acme/teams/core/projects/new", {"name": "New", "team": "old"})
    assert Project.objects.count() == 1


def test_project_is_created_moved_and_archived(people: Cast, alice: Client) -> None:
    teams.create_team(people.acme, "second", actor=SYSTEM)
    alice.post("/o/acme/teams/core/projects/new", {"name": "Bot", "team": "core"})
    alice.post("/o/acme/projects/bot/edit", {"name": "Robot", "team": "second"})
    project = Project.objects.get()
    assert (project.name, project.slug, project.team.slug) == ("Robot", "bot", "second")
    alice.post("/o/acme/projects/bot/archive")
    project.refresh_from_db()
    assert project.archived_at is not None
    alice.post("/o/acme/projects/bot/restore")
    project.refresh_from_db()
    assert project.archived_at is None


PATHS = [
    "teams/new",
    "teams/core/edit",
    "teams/core/archive",
    "teams/core/restore",
    "teams/core/projects/new",
    "projects/bot/edit",
    "projects/bot/archive",
    "projects/bot/restore",
]


@pytest.mark.parametrize("path", PATHS)
def test_unpermitted_person_changes_nothing(people: Cast, path: str) -> None:
    """A developer is refused, a stranger finds nothing."""
    projects.create_project(people.core, "bot", actor=SYSTEM)
    for user, status in ((people.bob, 403), (people.charlie, 404)):
        form = {"name": "mine", "team": "core"}
        assert signed_in(user).post(f"/o/acme/{path}", form).status_code == status
    assert set(Team.objects.values_list("name", flat=True)) == {"core"}
    assert Project.objects.get().name == "bot"


@pytest.mark.parametrize("path", PATHS)
def test_team_admin_changes_only_that_team(people: Cast, path: str) -> None:
    """P12: another team is not there for it, and a new one would be none of its own."""
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    projects.create_project(people.core, "bot", actor=SYSTEM)
    bob = people.bob.email
    members.set_member(people.acme, bob, Role.ADMIN, teams=[second], actor=SYSTEM)
    client = signed_in(people.bob)
    answer = client.post(f"/o/acme/{path}", {"name": "mine", "team": "core"})
    assert answer.status_code == (403 if path == "teams/new" else 404)
    client.post("/o/acme/teams/second/edit", {"name": "mine"})
    second.refresh_from_db()
    assert second.name == "mine"
