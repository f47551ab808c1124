"""Organisations, teams, projects and people as they are listed and chosen."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.access.actors import SYSTEM
from accounts.keys.keys import playground_key
from accounts.models import Erasure, Key, KeyKind, Organisation, Role, User
from accounts.organisations import organisations, projects, teams
from lib.refusal import Refused
from tests.accounts.factors import with_app
from tests.accounts.organisations.test_choices import HOLDERS, ORGANISATIONS, chosen
from tests.support.cast import Cast, actor, make_key, member, signed_in, with_key
from tests.support.lists import file_of

pytestmark = pytest.mark.django_db


def program(people: Cast, user: User) -> Client:
    _, text = make_key(people.core, f"m{user.pk}", user=user, kind=KeyKind.MANAGEMENT)
    return with_key(text)


def test_choices_are_active_and_found_by_name_slug_or_address(people: Cast) -> None:
    second = teams.create_team(people.acme, "second core", actor=SYSTEM)
    teams.archive_team(second, actor=SYSTEM)
    Organisation.objects.filter(pk=people.stranger.pk).update(name="Elsewhere", slug="odd-1")
    dora, alice = signed_in(people.dora), signed_in(people.alice)
    assert chosen(dora, ORGANISATIONS, q="odd") == [("odd-1", "Elsewhere")]
    assert chosen(dora, HOLDERS, slug="acme", q="core") == [("core", "core")]
    User.objects.filter(pk=people.bob.pk).update(name="Robert")
    assert chosen(dora, HOLDERS, slug="acme", q="bob@") == [("bob@example.org", "Robert")]
    assert chosen(alice, reverse("team_choices", args=["acme"]), q="co") == [("core", "core")]
    assert chosen(alice, reverse("team_choices", args=["acme"]), q="x") == []


def test_archived_teams_and_projects_are_in_the_lists_of_the_api(people: Cast) -> None:
    """Records name them."""
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    project = projects.create_project(people.core, "apollo", actor=SYSTEM)
    teams.archive_team(second, actor=SYSTEM)
    projects.archive_project(project, actor=SYSTEM)
    client = program(people, people.alice)
    found = client.get("/api/v1/teams").json()["items"]
    assert [(one["slug"], one["archived"]) for one in found] == [("second", True), ("core", False)]
    found = client.get("/api/v1/projects").json()["items"]
    assert [(one["slug"], one["archived"]) for one in found] == [("apollo", True)]


def test_keys_move_with_their_project(people: Cast) -> None:
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    project = projects.create_project(people.core, "apollo", actor=SYSTEM)
    key, _ = make_key(people.core, "ci", project=project)
    other, _ = make_key(people.core, "other")
    projects.change_project(project, name="apollo", team=second, actor=SYSTEM)
    keys = Key.objects.filter(pk__in=[key.pk, other.pk]).order_by("name")
    assert [one.team for one in keys] == [second, people.core]


def test_playground_moves_to_the_oldest_team_that_is_left(people: Cast) -> None:
    for name in ("second", "third"):
        teams.create_team(people.acme, name, actor=SYSTEM)
    teams.archive_team(people.core, actor=SYSTEM)
    assert playground_key(people.acme).team.name == "second"


def test_organisation_is_not_given_to_somebody_deactivated(people: Cast) -> None:
    User.objects.filter(pk=people.bob.pk).update(is_active=False)
    by = actor(people.dora)
    with pytest.raises(Refused, match="No account uses this address"):
        organisations.create_for("New", "bob@example.org", actor=by)
    made = organisations.create_for("New", "CHARLIE@example.org", actor=by)
    assert [one.user for one in made.memberships.all()] == [people.charlie]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["alice", "bob", "charlie", "dora", "gone"]),
        ("q=CHARL", ["charlie"]),
        ("q=Dora", ["dora"]),
        ("state=active", ["alice", "bob", "charlie", "dora"]),
        ("state=inactive", ["gone"]),
        ("state=operator", ["dora"]),
    ],
)
def test_people_are_found_by_each_filter(people: Cast, query: str, found: list[str]) -> None:
    gone = member(people.acme, "gone", Role.VIEWER)
    User.objects.filter(pk=gone.pk).update(is_active=False)
    User.objects.filter(pk=people.charlie.pk).update(name="Charles", email="c@example.org")
    rows = file_of(signed_in(people.dora), f"/admin/people?{query}&export=csv")
    names = [row["name"].lower() for row in rows]
    assert sorted(names) == sorted("charles" if one == "charlie" else one for one in found)


def test_state_and_factor_of_a_person_are_their_own(people: Cast) -> None:
    with_app(people.bob)
    for user in (people.alice, people.charlie):
        User.objects.filter(pk=user.pk).update(is_active=False)
    Erasure.objects.create(user=people.charlie, pseudonym="e", step="requests")
    rows = file_of(signed_in(people.dora), "/admin/people?export=csv")
    states = {row["email"].partition("@")[0]: row["state"] for row in rows}
    assert states == {
        "alice": "Deactivated", "bob": "Active", "charlie": "Erased", "dora": "Operator",
    }  # fmt: skip


def test_people_of_the_installation_are_found_by_address(people: Cast) -> None:
    dora = signed_in(people.dora)
    with_app(people.bob)
    answer: Any = dora.get("/api/v1/people").json()
    found = {one["name"]: one["second_factor"] for one in answer["items"]}
    assert found == {"Alice": False, "Bob": True, "Charlie": False, "Dora": False}
    answer = dora.get("/api/v1/people?email=BOB@example.org").json()
    assert [one["name"] for one in answer["items"]] == ["Bob"]
    assert dora.get("/api/v1/people?email=ob@example.org").json()["items"] == []
