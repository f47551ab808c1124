import pytest

from accounts.access.actors import SYSTEM
from accounts.keys.keys import KeyRefused
from accounts.models import AuditEvent, Project
from accounts.organisations import projects, teams
from lib.refusal import Refused
from tests.support.cast import Cast, make_key


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


def test_project_is_archived_and_restored(people: Cast) -> None:
    project = projects.create_project(people.core, "new", actor=SYSTEM)
    assert project.slug.startswith("new-")
    assert projects.archive_project(project, actor=SYSTEM).archived_at is not None
    assert projects.restore_project(project, actor=SYSTEM).archived_at is None


def test_key_is_created_only_in_an_active_project_of_its_team(people: Cast) -> None:
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    project = projects.create_project(people.core, "Search", actor=SYSTEM)
    assert make_key(people.core, project=project)[0].project == project
    with pytest.raises(KeyRefused, match="belongs to another team"):
        make_key(second, project=project)
    projects.archive_project(project, actor=SYSTEM)
    with pytest.raises(KeyRefused, match="is archived"):
        make_key(people.core, project=Project.objects.get(id=project.id))
