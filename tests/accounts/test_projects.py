import pytest

from accounts import projects, teams
from accounts.actors import SYSTEM
from accounts.models import AuditEvent
from lib.refusal import Refused
from tests.cast import Cast, make_key


def test_a_project_moves_with_its_keys(people: Cast) -> None:
    project = projects.create_project(people.core, "New Search", actor=SYSTEM)
    key, _ = make_key(people.core, "ci")
    key.project = project
    key.save(update_fields=["project"])
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    projects.change_project(project, name="Search", team=second, actor=SYSTEM)
    key.refresh_from_db()
    project.refresh_from_db()
    assert (project.slug, project.name, project.team, key.team) == (
        "new-search",
        "Search",
        second,
        second,
    )
    event = AuditEvent.objects.get(action="project.changed")
    assert event.detail["after"] == {"name": "Search", "team": "second"}


def test_two_projects_of_one_label(people: Cast) -> None:
    projects.create_project(people.core, "Search", actor=SYSTEM)
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    with pytest.raises(Refused, match="Another project is already named SEARCH"):
        projects.create_project(second, "SEARCH", actor=SYSTEM)


def test_a_project_is_put_away_and_brought_back(people: Cast) -> None:
    project = projects.create_project(people.core, "new", actor=SYSTEM)
    assert project.slug.startswith("new-")
    assert projects.archive_project(project, actor=SYSTEM).archived_at is not None
    assert projects.restore_project(project, actor=SYSTEM).archived_at is None
