"""What becomes of the keys of who leaves, and who may say so: every fate of every kind of key."""

import re
from typing import Any

import pytest
from django.db import connection
from django.http import Http404
from django.test.utils import CaptureQueriesContext

from accounts.access.access import AccessDenied
from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.keys import departures, service_accounts
from accounts.keys.departures import KeyFate
from accounts.members import members
from accounts.models import AuditEvent, Epoch, Key, KeyKind, Membership, Role, Team, User
from accounts.organisations import teams
from lib.ids import id_text
from lib.refusal import Refused
from playground.erasure.departures import Departure, depart
from tests.support.cast import Cast, actor, make_key, member


def of(people: Cast, user: User) -> Membership:
    return Membership.objects.get(user=user, organisation=people.acme)


def limited(people: Cast, name: str, role: Role, team: Team, **custom: Any) -> User:
    user = member(people.acme, name, Role.VIEWER)
    members.set_member(people.acme, user.email, role, teams=[team], actor=SYSTEM, **custom)
    return user


def state_of(key: Key) -> str:
    key.refresh_from_db()
    if key.revoked_at is not None:
        return "revoked"
    return "disabled" if key.disabled else "living"


@pytest.mark.parametrize("kind", [KeyKind.RELAY, KeyKind.MANAGEMENT])
@pytest.mark.parametrize("chosen", [False, True])
@pytest.mark.parametrize("fate", ["revoke", "disable", "transfer"])
def test_departing_keys_become_exactly_what_was_chosen(
    people: Cast, kind: KeyKind, chosen: bool, fate: Any
) -> None:
    """P23: a management key goes to nobody; where that was not chosen for it, it is disabled."""
    key, _ = make_key(people.core, "ci", user=people.bob, kind=kind)
    other, _ = make_key(people.core, "other", user=people.bob)
    alice = actor(people.alice, people.acme)
    what = KeyFate(fate, of(people, people.alice) if fate == "transfer" else None)
    fates = {key.id: what} if chosen else {}
    otherwise = KeyFate("disable") if chosen else what
    leaving = of(people, people.bob)
    before = Epoch.objects.get().n
    if kind == KeyKind.MANAGEMENT and fate == "transfer" and chosen:
        with pytest.raises(Refused, match="cannot be transferred"):
            departures.end_membership(alice, leaving, fates, otherwise)
        assert Membership.objects.filter(id=leaving.id).exists()
        return
    departures.end_membership(alice, leaving, fates, otherwise)
    moved = fate == "transfer" and kind == KeyKind.RELAY
    expected = {"revoke": "revoked", "disable": "disabled"}.get(fate, "disabled")
    assert state_of(key) == ("living" if moved else expected)
    assert key.user == (people.alice if moved else people.bob)
    assert state_of(other) == (
        "disabled" if chosen else "living" if fate == "transfer" else expected
    )
    assert not Membership.objects.filter(id=leaving.id).exists()
    assert Epoch.objects.get().n > before
    told = AuditEvent.objects.filter(action="key.transferred", object_id=id_text(key.id))
    assert [(one.detail["before"], one.detail["after"]) for one in told] == (
        [({"owner": people.bob.email}, {"owner": people.alice.email})] if moved else []
    )


def test_transfer_names_its_recipient(people: Cast) -> None:
    make_key(people.core, "ci", user=people.bob)
    alice = actor(people.alice, people.acme)
    with pytest.raises(Refused, match="Choose who gets the keys"):
        departures.end_membership(alice, of(people, people.bob), {}, KeyFate("transfer"))


def test_a_key_goes_to_whom_its_team_and_role_allow(people: Cast) -> None:
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    keyless = custom_roles.create_role(people.acme, "Keyless", ["audit.read"], actor=SYSTEM)
    keyed = custom_roles.create_role(people.acme, "Keyed", ["keys.write_own"], actor=SYSTEM)
    for name, role, team, custom in (
        ("dev", Role.DEVELOPER, people.core, None), ("elsewhere", Role.DEVELOPER, second, None),
        ("reader", Role.VIEWER, people.core, None), ("keyless", Role.CUSTOM, people.core, keyless),
        ("keyed", Role.CUSTOM, people.core, keyed), ("off", Role.DEVELOPER, people.core, None),
    ):  # fmt: skip
        limited(people, name, role, team, custom_role=custom)
    members.set_active(User.objects.get(email="off@example.org"), False, actor=SYSTEM)
    for name, team in (("robot", people.core), ("idle", people.core), ("far", second)):
        account = service_accounts.create_service_account(team, name, actor=SYSTEM)
        if name == "idle":
            service_accounts.change_service_account(
                account, role=Role.DEVELOPER, disabled=True, actor=SYSTEM
            )
    key, _ = make_key(people.core, "ci", user=people.bob)
    found = departures.receivers(actor(people.alice, people.acme), key)
    assert {departures.name_of(one) for one in found} == {
        "alice@example.org", "dev@example.org", "keyed@example.org", "robot",
    }  # fmt: skip
    values = {departures.name_of(one): departures.value_of(one) for one in found}
    assert values["alice@example.org"] == f"member:{of(people, people.alice).pk}"
    assert values["robot"].startswith("account:")


@pytest.mark.parametrize(
    ("role", "within", "may"),
    [
        (Role.OWNER, True, True),
        (Role.ADMIN, True, True),
        (Role.ADMIN, False, False),
        (Role.DEVELOPER, True, False),
        (Role.VIEWER, True, False),
    ],
)
def test_only_who_manages_a_key_gives_it_away(
    people: Cast, role: Role, within: bool, may: bool
) -> None:
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    user = limited(people, "eve", role, people.core if within else second)
    key, _ = make_key(people.core, "ci", user=people.bob)
    giving = actor(user, people.acme)
    assert bool(departures.receivers(giving, key)) is may
    if not may:
        with pytest.raises(Refused):
            departures.transfer_key(giving, key, of(people, people.alice))
        assert Key.objects.get(id=key.id).user == people.bob


@pytest.mark.parametrize("name", ["alice", "bob", "ann", "vic"])
def test_anyone_may_leave_but_removes_only_lower_members(people: Cast, name: str) -> None:
    member(people.acme, "ann", Role.ADMIN)
    member(people.acme, "vic", Role.VIEWER)
    mine = Membership.objects.get(user__email=f"{name}@example.org", organisation=people.acme)
    leaving = actor(mine.user, people.acme)
    ends = set()
    for other in Membership.objects.filter(organisation=people.acme).select_related("user"):
        try:
            assert departures.access_leaving(leaving, str(other.pk)) == other
            ends.add(other.user.name.lower())
        except (AccessDenied, Http404):
            pass
    below = {"alice": {"bob", "ann", "vic"}, "ann": {"bob", "vic"}}.get(name, set())
    assert ends == below | {name}


@pytest.mark.parametrize("fate", ["revoke", "disable", "transfer"])
@pytest.mark.parametrize("way", ["membership", "everything"])
def test_every_removal_locks_the_organisation_before_its_keys(
    people: Cast, way: str, fate: Any
) -> None:
    """Two who remove members of one organisation at once wait for each other, in one order."""
    make_key(people.core, "ci", user=people.bob)
    alice, leaving = actor(people.alice, people.acme), of(people, people.bob)
    what = KeyFate(fate, of(people, people.alice) if fate == "transfer" else None)
    with CaptureQueriesContext(connection) as statements:
        if way == "membership":
            departures.end_membership(alice, leaving, {}, what)
        else:
            depart(alice, leaving, Departure(other_keys=what))
    texts = [one["sql"] for one in statements if " FOR " in one["sql"]]
    locked = [re.findall(r'FROM "(\w+)"', text)[0] for text in texts]
    assert locked[0] == "accounts_organisation"
    assert "accounts_key" in locked
