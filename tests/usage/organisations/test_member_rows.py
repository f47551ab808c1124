"""Which rows and columns of the list of members a reader gets, and which of them a filter keeps."""

from typing import Any

import pytest

from accounts.access.actors import SYSTEM
from accounts.models import Membership, Role, User
from accounts.organisations import teams
from lib import clock
from tests.support.cast import Cast, actor, member, signed_in
from usage.organisations.member_views import (
    _hidden_columns,
    _matches_filter,
    _member_rows,
    _team_choices,
)

OTHERS = {"email", "state", "last", "spent", "keys", "joined"}


@pytest.mark.parametrize(
    ("own_only", "may_write", "hidden"),
    [
        (False, True, set()), (False, False, {"second_factor"}),
        (True, False, {*OTHERS, "second_factor"}), (True, True, {*OTHERS, "second_factor"}),
    ],
)  # fmt: skip
def test_columns_of_others_are_for_those_who_see_them(
    own_only: bool, may_write: bool, hidden: set[str]
) -> None:
    assert {*_hidden_columns(own_only=own_only, may_write=may_write)} == hidden


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ({}, "ab"), ({"q": "ANA"}, "a"), ({"q": "b@"}, "b"), ({"q": "ana b"}, ""),
        ({"role": "owner"}, "a"), ({"role": "R7"}, "b"), ({"state": "new"}, "b"),
        # Who is in all teams is in each.
        ({"team": "core"}, "ab"), ({"team": "side"}, "a"),
        ({"team": "side", "state": "new"}, ""),
    ],
)  # fmt: skip
def test_filters_keep_members_that_fit_all_of_them(asked: dict[str, str], kept: str) -> None:
    rows: dict[str, dict[str, Any]] = {
        "a": {"name": "Ana", "email": "a@x", "role_value": "owner", "team_slugs": None,
              "state": "active"},
        "b": {"name": "Bo", "email": "b@x", "role_value": "R7", "team_slugs": {"core"},
              "state": "new"},
    }  # fmt: skip
    found = [
        key for key, row in rows.items() if _matches_filter(row, lambda name: asked.get(name, ""))
    ]
    assert found == [*kept]


def test_member_is_new_until_they_come_and_links_to_what_the_reader_sees(people: Cast) -> None:
    member(people.acme, "nell", Role.VIEWER)
    gone = member(people.acme, "gus", Role.VIEWER)
    User.objects.filter(pk=gone.pk).update(is_active=False)
    User.objects.filter(pk=people.bob.pk).update(last_login=clock.now())
    alice = actor(people.alice, people.acme)
    rows = {row["name"]: row for row in _member_rows(alice, own_only=False)}
    states = {name.lower(): row["state"] for name, row in rows.items()}
    assert states == {"alice": "new", "bob": "active", "gus": "deactivated", "nell": "new"}
    assert all(row["href"] for row in rows.values())
    bob = actor(people.bob, people.acme)
    own = {row["name"]: row["href"] for row in _member_rows(bob, own_only=True)}
    at = Membership.objects.get(user=people.bob).pk
    assert [href for href in own.values() if href] == [f"/o/acme/team/members/{at}"]


def test_teams_are_offered_to_choose_from_if_there_are_several(people: Cast) -> None:
    alice = actor(people.alice, people.acme)
    assert [value for value, _ in _team_choices(alice)] == [""]
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    assert [value for value, _ in _team_choices(alice)] == ["", "core", "second"]
    teams.archive_team(second, actor=SYSTEM)
    assert [value for value, _ in _team_choices(alice)] == [""]


def test_only_the_first_member_is_invited_to_invite_others(people: Cast) -> None:
    Membership.objects.filter(user=people.bob).delete()
    alice, alone = signed_in(people.alice), "You are the only member"
    assert (alone in alice.get("/o/acme/team").content.decode()) is True
    member(people.acme, "bo", Role.VIEWER)
    assert (alone in alice.get("/o/acme/team?q=alice").content.decode()) is False
