from typing import get_args

import pytest

from accounts.roles.rules import (
    PERMISSIONS,
    TABLE,
    Action,
    Role,
    Scope,
    is_wider,
    permitted_scope,
    roles_with,
    scope_of,
    scope_within_teams,
    widest_scope,
)

# a: all, o: own, a dot: never. Columns: owner admin billing developer viewer operator.
MATRIX = """
organisation.read a a a a a a
organisation.write a . . . . .
sign_in.write    a . . . . .
teams.read       a a a o o a
teams.write      a a . . . .
team_members.write a a . . . .
members.read     a a a o o a
members.write    a a . . . .
roles.write      a a . . . .
audit.read       a a . . . a
keys.read        a a a o . a
keys.write       a a . . . .
keys.write_own   o o . o . .
usage.read       a a a o a a
requests.read    a a a o a a
content.read     . . . . . .
sessions.write   a a . o . a
balance.read     a a a . . a
budgets.read     a a a o . a
budgets.write    a a . . . .
budgets.ask      a a . o . .
wallet.write     a . a . . .
topups.read      a a a . . a
topups.write     a . a . . .
codes.redeem     a a a a . .
codes.read       . . . . . a
codes.write      . . . . . a
credits.read     . . . . . a
credits.write    . . . . . a
webhooks.read    a a . . . a
webhooks.write   a a . . . .
playground.use   o o . o . .
playground.read  o o o o o .
playground.write a a . . . .
prompts.read     a a a a a .
channels.read    . . . . . a
channels.test    . . . . . a
channels.write   . . . . . a
models.read      a a a a a a
prices.write     . . . . . a
organisations.read . . . . . a
organisations.write . . . . . a
view_as.begin    . . . . . a
"""
ROLES: tuple[Role, ...] = get_args(Role)
ACTIONS: tuple[Action, ...] = get_args(Action)
LETTERS: dict[str, Scope | None] = {"a": "all", "o": "own", ".": None}
CELLS = [
    (role, row.split()[0], LETTERS[letter])
    for row in MATRIX.strip().splitlines()
    for role, letter in zip(ROLES, row.split()[1:], strict=True)
]


@pytest.mark.parametrize(("role", "action", "scope"), CELLS)
def test_matrix(role: Role, action: Action, scope: Scope | None) -> None:
    assert scope_of(role, action) == scope


def test_the_matrix_names_every_action_and_role() -> None:
    assert tuple(TABLE) == ACTIONS
    assert {(role, action) for role, action, _ in CELLS} == {
        (role, action) for role in ROLES for action in ACTIONS
    }


@pytest.mark.parametrize(
    ("roles", "action", "scope"),
    [
        ((), "models.read", None),
        (("viewer",), "keys.write", None),
        (("developer", "operator"), "keys.read", "all"),
        (("developer", "operator"), "playground.use", "own"),
        (("viewer", "operator"), "channels.test", "all"),
    ],
)
def test_several_roles_reach_as_far_as_the_widest(
    roles: tuple[Role, ...], action: Action, scope: Scope | None
) -> None:
    assert widest_scope(scope_of(role, action) for role in roles) == scope


def test_a_refusal_can_name_the_roles_that_may() -> None:
    assert roles_with("keys.write") == ("owner", "admin")
    assert roles_with("channels.read") == ("operator",)


def test_limits_to_teams_leave_own_scope_where_no_team_applies() -> None:
    """P23: an admin of a team stands above its developers, who may ask for more of their own."""
    assert scope_within_teams("all", "budgets.ask") == "own"
    assert scope_within_teams("all", "keys.read") == "teams"
    assert scope_within_teams("all", "wallet.write") is None
    assert scope_within_teams("all", "models.read") == "all"


def test_each_scope_is_wider_than_those_before_it() -> None:
    scopes: tuple[Scope | None, ...] = (None, "own", "teams", "all")
    for n, scope in enumerate(scopes):
        for m, other in enumerate(scopes):
            assert is_wider(scope, other) is (n > m)


OWN = {
    *("teams.read:own", "members.read:own", "keys.read:own", "usage.read:own"),
    *("requests.read:own", "sessions.write:own", "budgets.read:own", "budgets.ask:own"),
}


def test_contents_of_a_custom_role() -> None:
    """What an owner has except how people sign in, and what no built-in role has; what a developer
    has of their own alone also comes alone."""
    whole = {one for one in PERMISSIONS if not one.endswith(":own")}
    owners = {action for role, action, scope in CELLS if role == "owner" and scope is not None}
    assert whole == owners - {"sign_in.write"} | {"content.read"}
    assert {one for one in PERMISSIONS if one.endswith(":own")} == OWN
    assert len(PERMISSIONS) == len(set(PERMISSIONS))


def test_only_a_custom_role_reads_contents() -> None:
    assert roles_with("content.read") == ()
    assert permitted_scope(["content.read"], "content.read") == "all"
    assert permitted_scope(["requests.read"], "content.read") is None
    assert scope_within_teams("all", "content.read") == "teams"
