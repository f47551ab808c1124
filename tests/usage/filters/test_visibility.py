"""Which rows of requests a report is made of: by person, however their address is written."""

import datetime as dt
from typing import Any
from uuid import UUID

import pytest

from accounts.access.access import AccessDenied
from accounts.access.actors import SYSTEM, Actor, key_actor
from accounts.custom_roles import custom_roles
from accounts.keys import service_accounts
from accounts.members import members
from accounts.models import Key, KeyKind, Role, User
from accounts.organisations import teams
from tests.support import cast
from tests.usage.rows import NOON, happen
from usage.buckets.buckets import Span
from usage.filters.filters import Scope, from_query
from usage.filters.groupings import GroupBy
from usage.filters.visibility import Period, run, sees_requests, where_of

MOMENT = dt.timedelta(microseconds=1)


def counted(people: cast.Cast, scope: Scope, period: Period | Span) -> int:
    where = where_of(cast.actor(people.alice, people.acme), "requests.read", scope, period)
    text = f"SELECT count(*) FROM usage_usagerecord r WHERE {where.text}"
    ((count,),) = run(text, where.parameters)
    return int(count)


@pytest.mark.parametrize("stored", ["bob@example.org", "Bob@Example.org", "BOB@EXAMPLE.ORG"])
@pytest.mark.parametrize("asked", ["bob@example.org", "Bob@Example.ORG"])
def test_a_person_is_found_by_any_case_of_the_address(
    people: cast.Cast, key: Key, stored: str, asked: str
) -> None:
    User.objects.filter(id=people.bob.id).update(email=stored)
    happen(key, NOON)
    other, _ = cast.make_key(people.core, "alices", user=people.alice)
    happen(other, NOON)
    scope = from_query({"user": [asked]}, NOON, channels=True).scope
    assert counted(people, scope, Period()) == 1


def test_periods_that_follow_each_other_share_no_request(people: cast.Cast, key: Key) -> None:
    for at in (NOON - MOMENT, NOON, NOON + MOMENT):
        happen(key, at)
    before, after = Period(end_at=NOON), Period(start_at=NOON)
    assert (counted(people, Scope(), before), counted(people, Scope(), after)) == (1, 2)
    assert counted(people, Scope(), Period(NOON, NOON + MOMENT)) == 1


# Every filter ------------------------------------------------------------------------------------

OTHER_CHANNEL = UUID(int=77)
SESSION, REQUEST = UUID(int=78), UUID(int=79)
# A scope, and what the one of two requests has that it picks.
FILTERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "model": ({"models": ("m-2",)}, {"model": "m-2"}),
    "one of two models": ({"models": ("m-2", "m-3")}, {"model": "m-3"}),
    "channel": ({"channels": (OTHER_CHANNEL,)}, {"channel_id": OTHER_CHANNEL}),
    "user": ({"users": ("alice@example.org",)}, {"key": "alices"}),
    "key": ({"keys": "alices"}, {"key": "alices"}),
    "team": ({"teams": ("second",)}, {"key": "seconds"}),
    "project": ({"projects": ("search",)}, {"project": "search"}),
    "customer": ({"customers": ("c-1",)}, {"customer": "c-1"}),
    "end user": ({"end_users": ("alice@chat",)}, {"end_user": "alice@chat"}),
    "address of an end user": ({"end_users": ("Al@Chat",)}, {"end_user": "al@chat"}),
    "end user of a body": ({"end_users": ("Al@Chat",)}, {"end_user": "Al@Chat"}),
    "app": ({"apps": ("codex",)}, {"client_app": "codex"}),
    "tag": ({"tags": ("eu", "us")}, {"tags": ["us", "x"]}),
    "failed": ({"status": "error"}, {"status": 500}),
    "stopped": ({"status": "stopped"}, {"status": 499}),
    "masked": ({"status": "masked"}, {"flags": ["masked", "guard_masked:email:1"]}),
    "guard that masks": ({"guards": "masked"}, {"flags": ["masked", "guard_masked:email:1"]}),
    "guard that rejects": ({"guards": "rejected"}, {"status": 400, "kind": "guard_refused"}),
    "under review": ({"status": "review"}, {"flags": ["quarantine"]}),
    "cause": ({"causes": ("timeout",)}, {"status": 504, "kind": "timeout"}),
    "cost": ({"min_cost_nano": 8}, {"charge_nano": 8}),
    "request": ({"request_id": REQUEST}, {"request_id": REQUEST}),
    "session": ({"session_id": SESSION}, {"session_id": SESSION}),
}


@pytest.mark.parametrize("name", FILTERS)
def test_each_filter_alone_selects_its_requests(people: cast.Cast, key: Key, name: str) -> None:
    asked, has = FILTERS[name]
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    found = {
        "bobs": key,
        "alices": cast.make_key(people.core, "alices", user=people.alice)[0],
        "seconds": cast.make_key(second, "seconds")[0],
    }
    plain: dict[str, Any] = {
        "charge_nano": 7,
        "project": "bot",
        "customer": "c-2",
        "end_user": "bob@chat",
        "client_app": "x",
        "tags": ["x"],
    }
    picked = {**plain, **has}
    of = found[picked.pop("key", "bobs")]
    happen(key, NOON, **plain)
    happen(of, NOON + MOMENT, **picked)
    if "keys" in asked:
        asked = {"keys": (found["alices"].id,)}
    assert counted(people, Scope(**asked), Period()) == 1
    assert counted(people, Scope(), Period()) == 2


WITHOUT: dict[str, dict[str, Any]] = {
    "project": {"project": ""}, "customer": {"customer": ""}, "app": {"client_app": ""},
    "end_user": {"end_user": ""},
    "tag": {"tags": []}, "user": {"user_id": None}, "model": {"model": ""},
}  # fmt: skip


@pytest.mark.parametrize("name", WITHOUT)
def test_ungrouped_requests_are_selected_as_such(
    people: cast.Cast, key: Key, name: GroupBy
) -> None:
    plain: dict[str, Any] = {
        "project": "bot", "customer": "c-2", "client_app": "x", "tags": ["x"],
        "end_user": "bob@chat",
    }  # fmt: skip
    happen(key, NOON, **plain)
    happen(key, NOON + MOMENT, **{**plain, **WITHOUT[name]})
    assert counted(people, Scope(without=(name,)), Period()) == 1


@pytest.mark.parametrize("asked", [{"users": ("nobody@example.org",)}, {"teams": ("nowhere",)},
                                   {"teams": ("stranger",)}])  # fmt: skip
def test_unknown_value_selects_nothing(people: cast.Cast, key: Key, asked: dict[str, Any]) -> None:
    happen(key, NOON)
    nobodys, _ = cast.make_key(people.core, "nobodys")
    happen(nobodys, NOON)
    assert counted(people, Scope(**asked), Period()) == 0


def test_everyone_sees_the_requests_of_their_reach(people: cast.Cast, key: Key) -> None:
    """P12: all, those of one's teams, one's own, or those of a key; nobody's are no one's own."""
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    nobodys, _ = cast.make_key(people.core, "nobodys")
    far, _ = cast.make_key(second, "far")
    happen(key, NOON, model="bobs")
    happen(nobodys, NOON, model="nobodys")
    happen(far, NOON, model="far")
    otto = cast.member(people.acme, "otto", Role.ADMIN)
    members.set_member(people.acme, otto.email, Role.ADMIN, teams=[second], actor=SYSTEM)
    sums_alone = custom_roles.create_role(people.acme, "Sums", ["usage.read"], actor=SYSTEM)
    vic = cast.member(people.acme, "vic", Role.VIEWER)
    members.set_member(people.acme, vic.email, Role.CUSTOM, custom_role=sums_alone, actor=SYSTEM)
    with_model_key = Actor(people.bob, nobodys, people.acme, None, operator=False)
    robot = service_accounts.create_service_account(
        people.core, "robot", Role.DEVELOPER, actor=SYSTEM
    )
    _, text = cast.make_key(people.core, "r", service_account=robot, kind=KeyKind.MANAGEMENT)
    program = key_actor(text)
    assert program is not None
    robots, _ = cast.make_key(people.core, "robots", service_account=robot)
    happen(robots, NOON, model="robots")
    seen = {
        "owner": cast.actor(people.alice, people.acme), "of second": cast.actor(otto, people.acme),
        "developer": cast.actor(people.bob, people.acme), "model key": with_model_key,
        "program": program,
    }  # fmt: skip
    expected = {
        "owner": {"bobs", "nobodys", "far", "robots"}, "of second": {"far"}, "developer": {"bobs"},
        "model key": {"nobodys"}, "program": {"robots"},
    }  # fmt: skip
    assert {name: models_of(one) for name, one in seen.items()} == expected
    assert {name: sees_requests(one) for name, one in seen.items()} == dict.fromkeys(seen, True)
    assert not sees_requests(cast.actor(vic, people.acme))
    with pytest.raises(AccessDenied):
        models_of(cast.actor(vic, people.acme))


def models_of(actor: Actor) -> set[str]:
    where = where_of(actor, "requests.read", Scope(), Period())
    text = f"SELECT r.model FROM usage_usagerecord r WHERE {where.text}"
    return {str(model) for (model,) in run(text, where.parameters)}


def test_sums_are_picked_by_what_they_know(people: cast.Cast) -> None:
    """Labels, costs and causes are of records alone; a sum's time is its bucket's."""
    actor = cast.actor(people.alice, people.acme)
    wide = Scope(
        models=("m",), projects=("p",), tags=("t",), status="error", causes=("timeout",),
        min_cost_nano=1, request_id=REQUEST, session_id=SESSION, without=("user", "app"),
    )  # fmt: skip
    where = where_of(actor, "usage.read", wide, Period(NOON, NOON + MOMENT))
    assert where.text == (
        "r.organisation_id = %(organisation)s AND r.bucket_at >= %(start_at)s "
        "AND r.bucket_at < %(end_at)s AND r.model = %(models)s AND r.user_id = 0"
    )
    assert where_of(actor, "usage.read", Scope(), Period(NOON), of="records").text == (
        "r.organisation_id = %(organisation)s AND r.admitted_at >= %(start_at)s "
        "AND r.id >= %(start_at_id)s"
    )
    assert "r.bucket_at" in where_of(actor, "requests.read", Scope(), Period(NOON), of="sums").text
