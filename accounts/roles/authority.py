"""Rules for granting and changing authority (P23: authority only shrinks).

Nobody can grant a right, a scope or a team that they lack. A member can be changed or removed only
by an owner, or by somebody who has everything the member has and more. Equals cannot change each
other.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import get_args
from uuid import UUID

from accounts.roles.rules import (
    LEAD_ACTIONS,
    Action,
    Permission,
    Role,
    Scope,
    is_wider,
    permitted_scope,
    scope_of,
    scope_within_teams,
    widest_scope,
)


@dataclass(frozen=True)
class Authority:
    """The authority of a member: a built-in role or the permissions of a custom one, in `teams`;
    None means all teams. `leads` are the teams among these that the member leads."""

    role: Role | None = None
    permissions: Collection[Permission] = ()
    teams: frozenset[UUID] | None = None
    leads: frozenset[UUID] = frozenset()

    @property
    def owns(self) -> bool:
        """Whether this is an owner's authority, which covers everything."""
        return self.role == "owner" and self.teams is None

    def scope_of(self, action: Action) -> Scope | None:
        """Return the scope for `action`, or None."""
        as_lead: Scope | None = "teams" if self.leads and action in LEAD_ACTIONS else None
        return widest_scope([self.scope_by_role(action), as_lead])

    def teams_of(self, action: Action) -> frozenset[UUID]:
        """Return the teams in which `action` is allowed when its scope is "teams"."""
        by_role = self.teams if self.scope_by_role(action) == "teams" else None
        return (by_role or frozenset()) | (self.leads if action in LEAD_ACTIONS else frozenset())

    def scope_by_role(self, action: Action) -> Scope | None:
        """Return the scope that the role alone gives for `action`."""
        by_role = scope_of(self.role, action) if self.role else None
        scope = widest_scope([by_role, permitted_scope(self.permissions, action)])
        return scope if self.teams is None else scope_within_teams(scope, action)


def first_action_beyond(wanted: Authority, bound: Authority) -> Action | None:
    """Return the first action for which `wanted` exceeds `bound`, or None if it is within `bound`.

    A team that `bound` lacks makes every action that `wanted` has there exceed it.
    """
    if bound.owns:
        return None
    strange_teams = bound.teams is not None and (
        wanted.teams is None or not wanted.teams <= bound.teams
    )
    action: Action
    for action in get_args(Action):
        scope = wanted.scope_of(action)
        if scope is None:
            continue
        bound_scope = bound.scope_of(action)
        if strange_teams or is_wider(scope, bound_scope):
            return action
        if bound_scope == "teams" and not _is_within_teams(wanted, bound, action):
            return action
    return None


def _is_within_teams(wanted: Authority, bound: Authority, action: Action) -> bool:
    """Return whether the teams in which `wanted` has an action are within those of `bound`."""
    teams = bound.teams_of(action)
    if not wanted.teams_of(action) <= teams:
        return False
    if wanted.scope_by_role(action) != "own":
        return True
    # "Own" applies in any team. A lead has it only in the teams they lead, unless the role has it
    # too.
    by_role = bound.scope_by_role(action) is not None
    return by_role or (wanted.teams is not None and wanted.teams <= teams)


def outranks(actor: Authority, other: Authority) -> bool:
    """Return whether `actor` may change or remove a member with the authority `other`."""
    if actor.owns:
        return True
    return (
        first_action_beyond(other, actor) is None and first_action_beyond(actor, other) is not None
    )
