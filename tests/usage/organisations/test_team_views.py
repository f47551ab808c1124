"""W52: the teams of an organisation, each with what it spends; operators see every organisation."""

import datetime as dt

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.models import Key, Role
from accounts.organisations import organisations, projects, teams
from lib import clock
from tests.support.cast import Cast, actor, make_key, signed_in
from tests.support.lists import file_of
from tests.support.markup import squeezed
from tests.usage.rows import credit, happen
from usage.organisations.recent_use import month_spending, month_spending_of
from usage.rollups import rollups


def spend(people: Cast) -> None:
    """A cent in core, two in a second team."""
    second = teams.create_team(people.acme, "Second", actor=SYSTEM)
    first_key, _ = make_key(people.core, "first", user=people.bob)
    second_key, _ = make_key(second, "second", user=people.alice)
    credit(first_key)
    happen(first_key, clock.now(), charge_nano=10_000_000)
    happen(second_key, clock.now(), charge_nano=20_000_000)
    rollups.roll_up()


def page(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return squeezed(answer.content.decode())


@pytest.mark.django_db(transaction=True)
def test_spending_of_each_team(people: Cast) -> None:
    spend(people)
    second = people.acme.teams.get(slug="second")
    assert month_spending(actor(people.alice, people.acme), "team_id") == {
        people.core.id: 10_000_000,
        second.id: 20_000_000,
    }
    assert month_spending(actor(people.bob, people.acme), "team_id") == {people.core.id: 10_000_000}
    assert month_spending_of([people.acme.id, people.stranger.id]) == {people.acme.id: 30_000_000}
    listed = page(signed_in(people.alice), "/o/acme/teams")
    assert "Second" in listed
    assert "$0.02" in listed
    assert "$0.03" in page(signed_in(people.dora), "/admin/organisations")


def test_member_of_one_team_sees_only_it(people: Cast) -> None:
    """P12"""
    second = teams.create_team(people.acme, "Second", actor=SYSTEM)
    projects.create_project(people.core, "Bot", actor=SYSTEM)
    bob = people.bob.email
    members.set_member(people.acme, bob, Role.DEVELOPER, teams=[second], actor=SYSTEM)
    client = signed_in(people.bob)
    listed = page(client, "/o/acme/teams")
    assert "/teams/second" in listed
    assert "/teams/core" not in listed
    assert client.get("/o/acme/teams/core").status_code == 404
    page_text = page(client, "/o/acme/teams/second")
    assert "alice@example.org" not in page_text
    assert "Create project" not in page_text


def test_team_shows_its_projects_members_and_limits(people: Cast) -> None:
    projects.create_project(people.core, "Bot <b>", actor=SYSTEM)
    organisations.require_labels(people.core, ["project"], actor=SYSTEM)
    page_text = page(signed_in(people.alice), "/o/acme/teams/core")
    assert "Bot &lt;b&gt;" in page_text
    assert "Bob" in page_text
    assert "Required labels" in page_text
    assert signed_in(people.charlie).get("/o/acme/teams/core").status_code == 404


def test_archived_teams_are_listed_on_demand(people: Cast) -> None:
    second = teams.create_team(people.acme, "Second", actor=SYSTEM)
    teams.archive_team(second, actor=SYSTEM)
    client = signed_in(people.alice)
    assert "/teams/second" not in page(client, "/o/acme/teams")
    assert "/teams/second" in page(client, "/o/acme/teams?state=archived")


def test_operators_find_organisations_by_state(people: Cast) -> None:
    organisations.suspend_organisation(people.acme, "unpaid", actor=SYSTEM)
    client = signed_in(people.dora)
    suspended = page(client, "/admin/organisations?state=suspended")
    assert "Acme" in suspended
    assert "Stranger" not in suspended
    assert "Stranger" in page(client, "/admin/organisations?q=stran")
    assert signed_in(people.alice).get("/admin/organisations").status_code == 404


def test_teams_count_each_active_member_key_and_project_once(people: Cast) -> None:
    for n in range(2):
        make_key(people.core, f"key-{n}")
        projects.create_project(people.core, f"Project {n}", actor=SYSTEM)
    ended, _ = make_key(people.core, "ended")
    later, _ = make_key(people.core, "later")
    Key.objects.filter(id=ended.id).update(expires_at=clock.now())
    Key.objects.filter(id=later.id).update(expires_at=clock.now() + dt.timedelta(hours=1))
    members.set_active(people.bob, False, actor=SYSTEM)
    (row,) = file_of(signed_in(people.alice), "/o/acme/teams?export=csv")
    assert (row["members"], row["keys"], row["projects"]) == ("1", "3", "2")


def test_team_is_found_by_a_name_in_capitals(people: Cast) -> None:
    teams.create_team(people.acme, "Prüfung", actor=SYSTEM)
    (row,) = file_of(signed_in(people.alice), "/o/acme/teams?q=PR%C3%9CF&export=csv")
    assert row["name"] == "Prüfung"
