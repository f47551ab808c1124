import pytest

from accounts.access.access import access_team, visible_teams
from accounts.access.actors import SYSTEM, key_actor
from accounts.keys import keys
from accounts.members import members
from accounts.models import AuditEvent, Role
from accounts.organisations import projects, teams
from lib.refusal import Refused
from tests.support.cast import Cast, actor, make_key


def test_a_further_team(people: Cast) -> None:
    team = teams.create_team(people.acme, "Search & Ads", actor=SYSTEM)
    assert team.slug == "search-ads"
    assert AuditEvent.objects.get(action="team.created").detail == {"name": "Search & Ads"}


def test_two_teams_of_one_address(people: Cast) -> None:
    with pytest.raises(Refused, match="Another team is already named CORE"):
        teams.create_team(people.acme, "CORE", actor=SYSTEM)


@pytest.mark.parametrize("names", [("研发 A", "市场 A"), ("研发", "市场"), ("C++", "C#")])
def test_names_of_one_slug_are_different_teams_and_projects(
    people: Cast, names: tuple[str, str]
) -> None:
    """Only a team or project that has the name itself is in the way of a new one."""
    ours = [teams.create_team(people.acme, name, actor=SYSTEM) for name in names]
    theirs = [projects.create_project(people.core, name, actor=SYSTEM) for name in names]
    for made in (ours, theirs):
        assert [one.name for one in made] == list(names)
        assert len({one.slug for one in made}) == 2
    for name in names:
        with pytest.raises(Refused, match="Another team is already named"):
            teams.create_team(people.acme, name, actor=SYSTEM)
        with pytest.raises(Refused, match="Another project is already named"):
            projects.create_project(people.core, name, actor=SYSTEM)


def test_a_new_team_or_project_has_no_name_that_another_was_given(people: Cast) -> None:
    """The slug of the new name is free, because the renamed one keeps its own."""
    team = teams.create_team(people.acme, "Search", actor=SYSTEM)
    teams.rename_team(team, "Find", actor=SYSTEM)
    project = projects.create_project(team, "Search", actor=SYSTEM)
    projects.change_project(project, name="Find", team=team, actor=SYSTEM)
    with pytest.raises(Refused, match=r"Another team is already named find\."):
        teams.create_team(people.acme, "find", actor=SYSTEM)
    with pytest.raises(Refused, match=r"Another project is already named find\."):
        projects.create_project(team, "find", actor=SYSTEM)
    # The former name is free again, the slug is not.
    assert teams.create_team(people.acme, "Search", actor=SYSTEM).slug.startswith("search-")
    assert projects.create_project(team, "Search", actor=SYSTEM).slug.startswith("search-")


def test_an_archived_team_stops_its_keys_and_not_the_playground(people: Cast) -> None:
    """P11: its keys end; the playground's key goes on in another team."""
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    _, text = make_key(people.core, "ci", user=people.bob)
    teams.archive_team(people.core, actor=SYSTEM)
    assert key_actor(text) is None
    assert keys.playground_key(people.acme).team == second
    assert access_team(actor(people.alice, people.acme)) == second
    with pytest.raises(Refused, match="at least one active team"):
        teams.archive_team(second, actor=SYSTEM)
    teams.restore_team(people.core, actor=SYSTEM)
    assert key_actor(text) is not None


def test_team_limited_person_sees_only_their_teams(people: Cast) -> None:
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    members.set_member(
        people.acme, people.bob.email, Role.ADMIN, teams=[second], actor=SYSTEM
    )  # fmt: skip
    assert list(visible_teams(actor(people.bob, people.acme))) == [second]
    assert access_team(actor(people.bob, people.acme)) == second


def test_team_named_new_has_an_address_of_its_own(people: Cast) -> None:
    """The form that creates a team is at `new`."""
    team = teams.create_team(people.acme, "New", actor=SYSTEM)
    assert team.slug.startswith("new-")
