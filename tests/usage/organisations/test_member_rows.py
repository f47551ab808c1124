"""Which rows and columns of the list of members a reader gets, and which of them a filter keeps."""

from typing import Any

import pytest
from django.http import HttpResponse

from accounts.access.actors import SYSTEM
from accounts.members import team_members
from accounts.models import Key, Membership, Role, User
from accounts.organisations import teams
from lib import clock
from lib.ids import id_text
from tests.support.cast import Cast, actor, make_key, member, signed_in
from usage.organisations import member_views
from usage.organisations.member_views import (
    _hidden_columns,
    _matches_filter,
    _member_rows,
    _team_choices,
)
from usage.organisations.views import _members_of

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


def test_page_of_a_member_offers_what_its_reader_may_do(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, over in (
        ("on", {}), ("off", {"disabled": True}), ("gone", {"revoked_at": clock.now()}),
    ):  # fmt: skip
        key, _ = make_key(people.core, name, user=people.bob)
        Key.objects.filter(id=key.id).update(**over)
    row = Membership.objects.get(user=people.bob)
    shown: list[dict[str, Any]] = []

    def render(request: object, template: str, context: dict[str, Any]) -> HttpResponse:
        shown.append(context)
        return HttpResponse()

    monkeypatch.setattr(member_views, "render", render)
    page = f"/o/acme/team/members/{row.pk}"
    alice, bob = signed_in(people.alice), signed_in(people.bob)
    alice.get(page)
    bob.get(page)
    team_members.set_lead(actor(people.alice, people.acme), people.core, row, lead=True)
    alice.get(page)
    before, own, after = shown
    assert {one["key"].name for one in before["keys"]} == {"on", "off"}
    assert before["living"] == [id_text(Key.objects.get(name="on").id)]
    names = ("may_disable", "may_budget", "may_see_limits", "may_erase")
    assert [before[name] for name in names] == [True, True, True, True]
    assert [own[name] for name in names] == [False, False, False, False]
    # What a lead may do is named with the teams, not as what they may do everywhere.
    assert after["groups"] == before["groups"]
    assert ([*before["leads"]], [*after["leads"]]) == ([], [people.core])


def test_members_of_a_team_are_listed_for_those_who_open_or_change_them(people: Cast) -> None:
    row = Membership.objects.get(user=people.bob)
    assert _members_of(actor(people.bob, people.acme), people.core) is None
    team_members.set_lead(actor(people.alice, people.acme), people.core, row, lead=True)
    for user in (people.alice, people.bob):
        listed = _members_of(actor(user, people.acme), people.core)
        assert {one["email"] for one in listed or ()} == {"alice@example.org", "bob@example.org"}


def test_only_the_first_member_is_invited_to_invite_others(people: Cast) -> None:
    Membership.objects.filter(user=people.bob).delete()
    alice, alone = signed_in(people.alice), "You are the only member"
    assert (alone in alice.get("/o/acme/team").content.decode()) is True
    member(people.acme, "bo", Role.VIEWER)
    assert (alone in alice.get("/o/acme/team?q=alice").content.decode()) is False
