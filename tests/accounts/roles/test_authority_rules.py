"""P23: nobody gives what they lack; equals leave each other be."""

from typing import get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.roles.authority import Authority, first_action_beyond, outranks
from accounts.roles.rules import PERMISSIONS, Action, Role, is_wider

TEAMS = [UUID(int=n) for n in range(3)]
AUTHORITIES = st.builds(
    Authority,
    role=st.sampled_from([None, *(role for role in get_args(Role) if role != "operator")]),
    permissions=st.frozensets(st.sampled_from(PERMISSIONS), max_size=8),
    teams=st.none() | st.frozensets(st.sampled_from(TEAMS)),
    leads=st.frozensets(st.sampled_from(TEAMS)),
)
ONE, OTHER = frozenset(TEAMS[:1]), frozenset(TEAMS[1:2])
OWN_KEYS = ("keys.read:own",)


@given(AUTHORITIES, AUTHORITIES)
def test_inner_authority_reaches_no_further(one: Authority, bound: Authority) -> None:
    if first_action_beyond(one, bound) is not None or bound.owns:
        return
    for action in get_args(Action):
        assert not is_wider(one.scope_of(action), bound.scope_of(action))
        if one.scope_of(action) is not None and bound.teams is not None:
            assert one.teams is not None
            assert one.teams <= bound.teams


@given(AUTHORITIES, AUTHORITIES, AUTHORITIES)
def test_authority_is_an_order(a: Authority, b: Authority, c: Authority) -> None:
    assert first_action_beyond(a, a) is None
    if first_action_beyond(a, b) is None and first_action_beyond(b, c) is None:
        assert first_action_beyond(a, c) is None


@given(AUTHORITIES, AUTHORITIES)
def test_two_authorities_are_not_above_each_other(a: Authority, b: Authority) -> None:
    if not (a.owns or b.owns):
        assert not (outranks(a, b) and outranks(b, a))
    assert outranks(Authority("owner"), a)


def test_team_limits_remove_organisation_rights() -> None:
    limited = Authority("admin", teams=frozenset(TEAMS[:1]))
    assert limited.scope_of("keys.write") == "teams"
    assert limited.scope_of("webhooks.write") is None
    assert limited.scope_of("models.read") == "all"
    assert limited.scope_of("keys.write_own") == "own"
    assert first_action_beyond(limited, Authority("admin")) is None
    assert first_action_beyond(Authority("admin"), limited) == "organisation.read"
    assert first_action_beyond(Authority("viewer", teams=frozenset(TEAMS[1:])), limited) is not None


@pytest.mark.parametrize(
    ("wanted", "bound", "expected"),
    [
        (Authority(), Authority("admin", teams=ONE), None),
        (Authority(leads=ONE), Authority(leads=ONE), None),
        (Authority(leads=OTHER), Authority(leads=ONE), "team_members.write"),
        (Authority(None, ("keys.read",), ONE), Authority("viewer", leads=ONE), None),
        (Authority(None, ("keys.read",), OTHER), Authority("viewer", leads=ONE), "keys.read"),
        (Authority(None, ("keys.read",), OTHER), Authority("developer", leads=ONE), "keys.read"),
        # One's own, in any team, in the lead's, in another.
        (Authority(None, OWN_KEYS), Authority("viewer", leads=ONE), "keys.read"),
        (Authority(None, OWN_KEYS), Authority("developer", leads=ONE), None),
        (Authority(None, OWN_KEYS, ONE), Authority("viewer", leads=ONE), None),
        (Authority(None, OWN_KEYS, OTHER), Authority("viewer", leads=ONE), "keys.read"),
        # The lead of the same team, with one's own in any other.
        (Authority("viewer", OWN_KEYS, leads=ONE), Authority("viewer", leads=ONE), "keys.read"),
    ],
)
def test_a_lead_reaches_into_no_other_team(
    wanted: Authority, bound: Authority, expected: Action | None
) -> None:
    assert first_action_beyond(wanted, bound) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Authority("owner"), Authority("owner"), True),
        (Authority("owner", teams=ONE), Authority("owner", teams=ONE), False),
        (Authority("admin"), Authority("admin"), False),
        (Authority("admin"), Authority("owner"), False),
        (Authority("admin"), Authority("developer"), True),
        (Authority("admin", teams=ONE), Authority("developer"), False),
    ],
)
def test_members_one_may_change(one: Authority, other: Authority, expected: bool) -> None:
    assert outranks(one, other) is expected
