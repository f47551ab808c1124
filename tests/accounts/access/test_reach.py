"""What each kind of actor reaches: keys, teams, service accounts, members, invitations and roles.

One organisation with two teams; a row for everybody says what they list and what they may change.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import pytest
from django.http import Http404

from accounts.access import access
from accounts.access.access import AccessDenied
from accounts.access.actors import SYSTEM, Actor, key_actor
from accounts.custom_roles import custom_roles
from accounts.keys import keys, service_accounts
from accounts.members import access as member_access
from accounts.members import invitations, members
from accounts.members.invitations import Offer
from accounts.models import Invitation, Key, KeyKind, Role, Team
from accounts.organisations import projects, teams
from lib import clock
from lib.ids import id_text
from tests.support.cast import Cast, actor, assemble, make_key, member
from tests.support.stage import scene


class Reach(NamedTuple):
    """Names, with spaces between them."""

    keys: str = ""
    changes_keys: str = ""
    sees_addresses: str = ""
    pays_with: str = ""
    teams: str = ""
    accounts: str = ""
    projects: str = ""
    members: str = ""
    changes_members: str = ""
    invitations: str = ""
    changes_invitations: str = ""
    roles: str = ""
    gives: str = ""


EVERY_KEY: Final = "bobs eves nobodys seconds"
CORE_KEYS: Final = "bobs nobodys"
SECOND_KEYS: Final = "eves seconds"
ALL: Final = "alice anna bella bob corrie eve otto vic"
IN_CORE: Final = "alice anna bella bob corrie vic"
IN_SECOND: Final = "alice anna bella bob eve otto vic"
INVITED: Final = "to-all to-core to-second"
OWNERS: Final = "to-own"
REACHES: Final[dict[str, Reach]] = {
    "owner": Reach(
        EVERY_KEY, EVERY_KEY, EVERY_KEY, "nobodys seconds", "core second", "far robot",
        "bot search", ALL, "anna bella bob corrie eve otto vic", f"{INVITED} {OWNERS}",
        f"{INVITED} {OWNERS}", "Reader", "viewer developer billing admin owner Reader",
    ),
    "admin": Reach(
        EVERY_KEY, EVERY_KEY, EVERY_KEY, "nobodys seconds", "core second", "far robot",
        "bot search", ALL, "bob corrie eve otto vic", f"{INVITED} {OWNERS}", INVITED, "Reader",
        "viewer developer admin Reader",
    ),
    "admin of core": Reach(
        CORE_KEYS, CORE_KEYS, CORE_KEYS, "nobodys", "core", "robot", "bot", IN_CORE, "",
        "to-core", "to-core", "Reader",
        "viewer developer billing Reader admin",
    ),
    "admin of second": Reach(
        SECOND_KEYS, SECOND_KEYS, SECOND_KEYS, "seconds", "second", "far", "search", IN_SECOND,
        "eve", "to-second", "to-second", "Reader",
        "viewer developer billing Reader admin",
    ),
    "billing": Reach(
        EVERY_KEY, "", "", "", "core second", "far robot", "bot search", ALL, "",
        f"{INVITED} {OWNERS}", "", "Reader", "",
    ),
    "developer": Reach(
        "bobs", "bobs", "bobs", "bobs", "core second", "", "bot search", "bob", "", "", "", "", "",
    ),
    "viewer": Reach("", "", "", "", "core second", "", "bot search", "vic", "", "", "", "", ""),
    "management key of bob": Reach(
        "bobs", "bobs", "bobs", "bobs", "core second", "", "bot search", "bob",
    ),
    "model key of bob": Reach("bobs", "", "", "", "core", "", "", "", "", "", "", "", ""),
    "service account that administers core": Reach(
        CORE_KEYS, CORE_KEYS, CORE_KEYS, "nobodys", "core", "robot", "bot", IN_CORE, "", "to-core",
        "to-core", "Reader",
        "viewer developer billing Reader admin",
    ),
    "stranger": Reach(gives="viewer developer billing admin owner"),
}  # fmt: skip


def within(people: Cast, name: str, role: Role, team: Team) -> Any:
    user = member(people.acme, name, Role.VIEWER)
    members.set_member(people.acme, user.email, role, teams=[team], actor=SYSTEM)
    return user


def named(rows: Callable[[], Iterable[Any]]) -> set[str]:
    """The names of what is listed; nothing where listing is refused."""
    try:
        found = list(rows())
    except AccessDenied:
        return set()
    return {str(getattr(one, "slug", None) or one.name) for one in found}


class Acting(NamedTuple):
    """The cast, and everybody of the table by their names there."""

    people: Cast
    actors: dict[str, Actor]


@scene
def acting() -> Acting:
    """In an organisation that has one of everything in each team."""
    people = assemble()
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    custom_roles.create_role(people.acme, "Reader", ["usage.read"], actor=SYSTEM)
    corrie = within(people, "corrie", Role.ADMIN, people.core)
    otto = within(people, "otto", Role.ADMIN, second)
    eve = within(people, "eve", Role.DEVELOPER, second)
    anna = member(people.acme, "anna", Role.ADMIN)
    bella, vic = member(people.acme, "bella", Role.BILLING), member(people.acme, "vic", Role.VIEWER)
    robot = service_accounts.create_service_account(people.core, "robot", Role.ADMIN, actor=SYSTEM)
    service_accounts.create_service_account(second, "far", actor=SYSTEM)
    projects.create_project(people.core, "Bot", actor=SYSTEM)
    projects.create_project(second, "Search", actor=SYSTEM)
    _, model_text = make_key(people.core, "bobs", user=people.bob)
    make_key(people.core, "nobodys")
    make_key(second, "eves", user=eve)
    make_key(second, "seconds")
    keys.playground_key(people.acme)
    _, text = make_key(people.core, "m", user=people.bob, kind=KeyKind.MANAGEMENT)
    _, robots = make_key(people.core, "r", service_account=robot, kind=KeyKind.MANAGEMENT)
    alice = actor(people.alice, people.acme)
    for name, within_teams in (("to-all", None), ("to-core", [people.core]),
                               ("to-second", [second])):  # fmt: skip
        offer = Offer(Role.VIEWER, None, within_teams)
        invitations.invite(people.acme, [f"{name}@example.org"], offer, actor=alice)
    invitations.invite(people.acme, ["to-own@example.org"], Offer(Role.OWNER), actor=alice)
    found: dict[str, Any] = {
        "owner": alice, "admin": actor(anna, people.acme),
        "admin of core": actor(corrie, people.acme),
        "admin of second": actor(otto, people.acme), "billing": actor(bella, people.acme),
        "developer": actor(people.bob, people.acme), "viewer": actor(vic, people.acme),
        "management key of bob": key_actor(text), "model key of bob": key_actor(model_text),
        "service account that administers core": key_actor(robots),
        "stranger": actor(people.charlie, people.stranger),
    }  # fmt: skip
    assert all(found.values())
    return Acting(people, found)


OF_ACME: Final = {"bobs", "nobodys", "eves", "seconds"}


def reach_of(one: Actor, people: Cast) -> dict[str, set[str]]:
    every_key = Key.objects.filter(name__in=OF_ACME).order_by("id")
    try:
        seen = list(member_access.visible_members(one).filter(organisation=people.acme))
    except AccessDenied:
        seen = []
    try:
        invited = list(member_access.visible_invitations(one).filter(organisation=people.acme))
    except AccessDenied:
        invited = []
    return {
        "keys": named(lambda: access.visible_keys(one)) & OF_ACME,
        "changes_keys": {
            key.name for key in every_key
            if key.organisation == one.organisation and access.may_write_key(one, key)
        },
        "sees_addresses": {
            key.name for key in every_key
            if key.organisation == one.organisation and access.may_see_address(one, key)
        },
        "pays_with": named(lambda: access.payable_keys(one)),
        "teams": named(lambda: access.visible_teams(one).filter(organisation=people.acme)),
        "accounts": named(lambda: access.visible_service_accounts(one)),
        "projects": named(lambda: access.visible_projects(one)),
        "members": {row.user.email.partition("@")[0] for row in seen},
        "changes_members": {
            row.user.email.partition("@")[0] for row in seen
            if member_access.may_change_member(one, row)
        },
        "invitations": {row.email.partition("@")[0] for row in invited},
        "changes_invitations": {
            row.email.partition("@")[0] for row in invited
            if member_access.may_write_invitation(one, row)
        },
        "roles": named(lambda: member_access.visible_roles(one)),
        "gives": {
            custom.name if custom else str(role)
            for role, custom in member_access.assignable_roles(one)
        } if one.authority.scope_of("members.write") else set(),
    }  # fmt: skip


@pytest.mark.parametrize("who", REACHES)
def test_everyone_reaches_what_their_row_grants(acting: Acting, who: str) -> None:
    """P12, P23"""
    found = reach_of(acting.actors[who], acting.people)
    expected = {name: set(value.split()) for name, value in REACHES[who]._asdict().items()}
    assert found == expected


@pytest.mark.parametrize("who", REACHES)
def test_listed_objects_can_be_opened_and_changed_alike(acting: Acting, who: str) -> None:
    """404 for what is not seen, 403 for what is seen and may not be changed."""
    one, reach = acting.actors[who], REACHES[who]
    for key in Key.objects.filter(name__in=OF_ACME):
        expected: object = 404
        if key.name in reach.changes_keys.split():
            expected = "changed"
        elif key.name in reach.keys.split() or who == "viewer":  # who lists no keys at all
            expected = 403
        assert outcome(access.writable_key, one, key.id) == expected, key.name
    changes = one.authority.scope_of("members.write") is not None and one.model_key is None
    for sent in Invitation.objects.all():
        name, expected = sent.email.partition("@")[0], 404
        if name in reach.changes_invitations.split():
            expected = "changed"
        elif name in reach.invitations.split() or not changes:
            expected = 403
        opened = outcome(member_access.writable_invitation, one, id_text(sent.id))
        assert opened == expected, name


def outcome(act: Callable[..., object], *arguments: object) -> object:
    try:
        act(*arguments)
    except AccessDenied:
        return 403
    except Http404:
        return 404
    return "changed"


def test_ended_objects_are_visible_and_pay_nothing(people: Cast) -> None:
    alice = actor(people.alice, people.acme)
    for name in ("living", "disabled", "revoked", "expired", "narrow", "networked"):
        key, _ = make_key(people.core, name, user=people.alice)
        if name == "disabled":
            keys.change_key(SYSTEM, key, disabled=True)
        elif name == "revoked":
            keys.revoke_key(SYSTEM, key)
        elif name == "expired":
            Key.objects.filter(id=key.id).update(expires_at=clock.now())
        elif name == "narrow":
            keys.change_key(SYSTEM, key, endpoints=["embeddings"])
        elif name == "networked":
            keys.change_key(SYSTEM, key, networks=["10.0.0.0/8"])
    assert len(access.visible_keys(alice)) == 6
    assert named(lambda: access.living_keys(alice)) == {"living", "narrow", "networked"}
    assert named(lambda: access.payable_keys(alice)) == {"living"}
