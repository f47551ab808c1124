from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from accounts.access.access import scope_of, visible_keys
from accounts.access.actors import SYSTEM, key_actor
from accounts.custom_roles import custom_roles
from accounts.members import members
from accounts.models import AuditEvent, Membership, Role, Team, User
from accounts.organisations import teams
from lib.refusal import Refused
from tests.support.cast import Cast, actor, make_key, member


def test_an_unknown_member_is_created_without_a_password(people: Cast) -> None:
    members.set_member(people.acme, "New@example.org", Role.VIEWER, actor=SYSTEM)
    user = User.objects.get(email="New@example.org")
    assert not user.has_usable_password()
    assert Membership.objects.get(user=user).role == Role.VIEWER
    members.set_member(people.acme, "new@EXAMPLE.org", Role.ADMIN, actor=SYSTEM)
    assert Membership.objects.get(user=user).role == Role.ADMIN
    assert AuditEvent.objects.filter(action="member.set", object_id=str(user.id)).count() == 2


def test_the_last_owner_stays(people: Cast) -> None:
    with pytest.raises(members.LastOwner):
        members.set_member(people.acme, "alice@example.org", Role.ADMIN, actor=SYSTEM)
    members.set_member(people.acme, "bob@example.org", Role.OWNER, actor=SYSTEM)
    members.set_member(people.acme, "alice@example.org", Role.ADMIN, actor=SYSTEM)
    assert Membership.objects.get(user=people.alice).role == Role.ADMIN


def test_the_last_owner_is_not_removed(people: Cast) -> None:
    owners = Membership.objects.filter(organisation=people.acme, role=Role.OWNER)
    with pytest.raises(members.LastOwner):
        members.remove_member(people.acme, "ALICE@example.org", actor=SYSTEM)
    assert [one.user for one in owners.all()] == [people.alice]
    members.set_member(people.acme, "bob@example.org", Role.OWNER, actor=SYSTEM)
    members.remove_member(people.acme, "alice@example.org", actor=SYSTEM)
    with pytest.raises(members.LastOwner):
        members.remove_member(people.acme, "bob@example.org", actor=SYSTEM)
    assert [one.user for one in owners.all()] == [people.bob]


def test_last_owner_able_to_sign_in_is_not_deactivated(people: Cast) -> None:
    """An owner who may not come in is none that an organisation is left with."""
    with pytest.raises(members.LastOwner, match=r"alice@example.org is the last owner of Acme"):
        members.set_active(people.alice, False, actor=SYSTEM)
    assert User.objects.get(id=people.alice.id).is_active
    members.set_member(people.acme, "bob@example.org", Role.OWNER, actor=SYSTEM)
    members.set_active(people.alice, False, actor=SYSTEM)
    for leave in (
        lambda: members.set_active(people.bob, False, actor=SYSTEM),
        lambda: members.remove_member(people.acme, "bob@example.org", actor=SYSTEM),
        lambda: members.set_member(people.acme, "bob@example.org", Role.ADMIN, actor=SYSTEM),
    ):
        with pytest.raises(members.LastOwner):
            leave()
    members.set_active(people.alice, True, actor=SYSTEM)
    members.remove_member(people.acme, "bob@example.org", actor=SYSTEM)


def test_the_last_operator_is_not_switched_off(people: Cast) -> None:
    with pytest.raises(members.LastOperator, match=r"dora@example.org is the last operator"):
        members.set_active(people.dora, False, actor=SYSTEM)
    second = members.add_person("eve@example.org", operator=True, actor=SYSTEM)
    members.set_active(people.dora, False, actor=SYSTEM)
    with pytest.raises(members.LastOperator):
        members.set_active(second, False, actor=SYSTEM)
    members.set_active(people.dora, True, actor=SYSTEM)
    members.set_active(second, False, actor=SYSTEM)
    assert [one.email for one in User.objects.filter(operator=True, is_active=True)] == [
        people.dora.email
    ]


@pytest.mark.django_db(transaction=True)
def test_one_of_two_mutually_deactivating_operators_remains() -> None:
    pair = [
        members.add_person(f"{name}@example.org", operator=True, actor=SYSTEM)
        for name in ("dora", "eve")
    ]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(10):
            gate = Barrier(2)
            outcomes = list(pool.map(partial(switch_off, gate), pair, reversed(pair)))
            assert sorted(outcomes) == ["done", "refused"]
            left = User.objects.get(operator=True, is_active=True)
            User.objects.exclude(id=left.id).update(is_active=True)


def switch_off(gate: Barrier, by: User, person: User) -> str:
    gate.wait()
    try:
        members.set_active(person, False, actor=actor(by))
    except members.LastOperator:
        return "refused"
    finally:
        connection.close()
    return "done"


def test_deactivation_and_reactivation_are_audited_once_each(people: Cast) -> None:
    for active in (False, False, True, True):
        members.set_active(people.bob, active, actor=SYSTEM)
    people.bob.refresh_from_db()
    assert people.bob.is_active
    events = AuditEvent.objects.filter(object_type="user").order_by("id")
    actions = [one.action for one in events if "activated" in one.action]
    assert actions == ["user.deactivated", "user.activated"]


def test_existing_name_is_kept(people: Cast) -> None:
    for name, kept in (("", "Bob"), ("Robert", "Bob")):
        assert members.add_person(people.bob.email, name=name, actor=SYSTEM).name == kept
    User.objects.filter(pk=people.bob.pk).update(name="")
    for name, kept in (("", ""), ("Robert", "Robert"), ("Bob", "Robert")):
        assert members.add_person(people.bob.email, name=name, actor=SYSTEM).name == kept


def test_adding_makes_operators_and_never_unmakes_one(people: Cast) -> None:
    assert members.add_person("bob@example.org", operator=True, actor=SYSTEM).operator
    assert members.add_person("bob@example.org", actor=SYSTEM).operator
    assert AuditEvent.objects.filter(action="user.operator").count() == 1


def second_team(people: Cast) -> Team:
    return teams.create_team(people.acme, "second", actor=SYSTEM)


def test_team_limited_person_reaches_their_rows(people: Cast) -> None:
    """P12: an admin of one team sees and changes its keys, and nothing of the organisation."""
    second = second_team(people)
    make_key(people.core, "first's")
    key, _ = make_key(second, "second's")
    bob = people.bob.email
    members.set_member(people.acme, bob, Role.ADMIN, teams=[second], actor=SYSTEM)
    limited = actor(people.bob, people.acme)
    assert list(visible_keys(limited)) == [key]
    scopes = {"keys.write": "teams", "usage.read": "teams", "models.read": "all",
              "balance.read": None, "webhooks.write": None, "keys.write_own": "own"}  # fmt: skip
    assert {action: scope_of(limited, action) for action in scopes} == scopes  # type: ignore[arg-type]


def test_leaving_a_team_loses_its_keys(people: Cast) -> None:
    """P11"""
    second = second_team(people)
    _, text = make_key(people.core, "ci", user=people.bob)
    give: dict[str, Any] = {"actor": SYSTEM}
    members.set_member(people.acme, people.bob.email, Role.DEVELOPER, teams=[second], **give)
    assert key_actor(text) is None
    both = [second, people.core]
    members.set_member(people.acme, people.bob.email, Role.DEVELOPER, teams=both, **give)
    assert key_actor(text) is not None
    members.set_member(people.acme, people.bob.email, Role.VIEWER, **give)
    assert key_actor(text) is None


def test_custom_role_with_keys_permission_has_keys(people: Cast) -> None:
    """P11: as the built-in ones, and only while it has."""
    role = custom_roles.create_role(people.acme, "caller", ["keys.write_own"], actor=SYSTEM)
    _, text = make_key(people.core, "ci", user=people.bob)
    members.set_member(
        people.acme, people.bob.email, Role.CUSTOM, custom_role=role, actor=SYSTEM
    )  # fmt: skip
    assert key_actor(text) is not None
    custom_roles.change_role(role, name="reader", permissions=["usage.read"], actor=SYSTEM)
    assert key_actor(text) is None
    assert scope_of(actor(people.bob, people.acme), "usage.read") == "all"


GRANTS = [
    (Role.ADMIN, Role.DEVELOPER, True),
    (Role.ADMIN, Role.VIEWER, True),
    (Role.ADMIN, Role.ADMIN, True),
    (Role.ADMIN, Role.BILLING, False),
    (Role.ADMIN, Role.OWNER, False),
    (Role.OWNER, Role.OWNER, True),
    (Role.BILLING, Role.DEVELOPER, False),
]


@pytest.mark.parametrize(("giver", "role", "may"), GRANTS)
def test_no_one_grants_what_they_lack(people: Cast, giver: Role, role: Role, may: bool) -> None:
    """P23"""
    by = actor(member(people.acme, "giver", giver), people.acme)
    if may:
        members.set_member(people.acme, "new@example.org", role, actor=by)
    else:
        with pytest.raises(Refused, match="You cannot grant"):
            members.set_member(people.acme, "new@example.org", role, actor=by)
    memberships = Membership.objects.filter(user__email="new@example.org")
    assert [one.role for one in memberships] == ([role] if may else [])


def test_limited_admin_grants_only_its_own_teams(people: Cast) -> None:
    """P23"""
    second = second_team(people)
    by_user = member(people.acme, "ann", Role.ADMIN)
    members.set_member(people.acme, by_user.email, Role.ADMIN, teams=[second], actor=SYSTEM)
    by = actor(by_user, people.acme)
    for value in (None, [people.core], [people.core, second]):
        with pytest.raises(Refused, match="You cannot grant"):
            members.set_member(
                people.acme, "new@example.org", Role.VIEWER, teams=value, actor=by
            )  # fmt: skip
    members.set_member(people.acme, "new@example.org", Role.VIEWER, teams=[second], actor=by)
    assert Membership.objects.get(user__email="new@example.org").teams.get() == second


def test_role_change_keeps_teams_except_for_owners(people: Cast) -> None:
    second, email = second_team(people), people.bob.email

    def stands() -> tuple[str, bool, list[Team]]:
        membership = people.bob.memberships.get()
        return membership.role, membership.all_teams, list(membership.teams.all())

    members.set_member(people.acme, email, Role.DEVELOPER, teams=[second], actor=SYSTEM)
    members.set_member(people.acme, email, Role.VIEWER, actor=SYSTEM)
    assert stands() == ("viewer", False, [second])
    members.set_member(people.acme, email, Role.VIEWER, teams=None, actor=SYSTEM)
    assert stands() == ("viewer", True, [])
    members.set_member(people.acme, email, Role.VIEWER, actor=SYSTEM)
    assert stands() == ("viewer", True, [])
    members.set_member(people.acme, email, Role.VIEWER, teams=[second], actor=SYSTEM)
    members.set_member(people.acme, email, Role.OWNER, actor=SYSTEM)
    assert stands() == ("owner", True, [])
    members.set_member(people.acme, email, Role.OWNER, teams=[second], actor=SYSTEM)
    assert stands() == ("owner", True, [])


def test_equals_cannot_change_each_other(people: Cast) -> None:
    """GHSA-p845-629j-rcj6: the same rank does not touch the same rank, but may go itself."""
    ann, bea = (member(people.acme, name, Role.ADMIN) for name in ("ann", "bea"))
    by = actor(ann, people.acme)
    for email in (bea.email, people.alice.email):
        with pytest.raises(Refused, match=r"as much as yours|last owner"):
            members.set_member(people.acme, email, Role.VIEWER, actor=by)
        with pytest.raises(Refused, match=r"as much as yours|last owner"):
            members.remove_member(people.acme, email, actor=by)
    members.remove_member(people.acme, people.bob.email, actor=by)
    members.remove_member(people.acme, ann.email, actor=by)
    assert {one.user for one in people.acme.memberships.all()} == {people.alice, bea}


def test_unchanged_state_is_not_audited_again(people: Cast) -> None:
    before = AuditEvent.objects.count()
    members.set_member(people.acme, people.bob.email, Role.DEVELOPER, actor=SYSTEM)
    assert AuditEvent.objects.count() == before


def test_only_an_operator_makes_the_first_owner(people: Cast) -> None:
    """P23: who may do less than an owner becomes none where there is no owner."""
    admin = member(people.acme, "ann", Role.ADMIN)
    dora = member(people.acme, "dora", Role.ADMIN)
    with pytest.raises(Refused, match="You cannot grant"):
        members.set_member(
            people.acme, "new@example.org", Role.OWNER, actor=actor(dora, people.acme)
        )
    Membership.objects.filter(organisation=people.acme, role=Role.OWNER).delete()
    with pytest.raises(Refused, match="You cannot grant"):
        members.set_member(people.acme, admin.email, Role.OWNER, actor=actor(admin, people.acme))
    members.set_member(people.acme, "new@example.org", Role.OWNER, actor=actor(dora, people.acme))
    owner = people.acme.memberships.get(role=Role.OWNER)
    assert owner.user.email == "new@example.org"


def test_member_of_an_ownerless_organisation_can_be_changed(people: Cast) -> None:
    """Only an owner's leaving is refused."""
    Membership.objects.filter(organisation=people.acme, role=Role.OWNER).delete()
    members.set_member(people.acme, people.bob.email, Role.VIEWER, actor=SYSTEM)
    assert people.bob.memberships.get().role == Role.VIEWER


def test_member_of_an_organisation_without_an_owner_is_deactivated(people: Cast) -> None:
    """Only who owns an organisation could be its last owner."""
    User.objects.filter(id=people.alice.id).update(is_active=False)
    members.set_active(people.bob, False, actor=SYSTEM)
    assert not User.objects.get(id=people.bob.id).is_active
