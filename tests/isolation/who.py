"""Who asks in the isolation matrix, and what the table of roles lets them do.

This is the matrix's own reading of `accounts/roles/rules.py`: it names no view, no actor and no
query, and says how far somebody reaches by their role, by what they carry and whether they stand.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, cast, get_args

from accounts.roles import rules as roles
from accounts.roles.rules import Action, Permission, Scope

Carrier = Literal["session", "management key", "service account key", "model key"]
Guard = Action | Literal["signed in", "public"]
FREE: Final = ("signed in", "public")
Standing = Literal["active", "removed", "deactivated", "suspended"]


@dataclass(frozen=True)
class RoleSpec:
    """A role as it is given: a built-in one or permissions, `limited` to the team Core or not, and
    the `lead` of it or not.

    `outside` is one who is no member: an operator, or somebody without a role. `viewing` is an
    operator who views the organisation as a member of that role, and changes nothing.
    """

    built_in: str | None = None
    permissions: tuple[str, ...] = ()
    limited: bool = False
    lead: bool = False
    outside: bool = False
    viewing: bool = False


def _is_reading(permission: Permission) -> bool:
    return permission.removesuffix(":own").endswith(".read")


# Each permission as wide, and as narrow, as a role can have it.
_WIDE: Final = [one for one in roles.PERMISSIONS if ":" not in one]
_NARROW: Final = [one for one in roles.PERMISSIONS if f"{one}:own" not in roles.PERMISSIONS]
_OF_ONE_SELF: Final = [
    one for one in _NARROW if ":" in one or set(roles.TABLE[cast(Action, one)].values()) == {"own"}
]

ROLES: Final[dict[str, RoleSpec]] = {
    "owner": RoleSpec("owner"),
    "admin": RoleSpec("admin"),
    "billing": RoleSpec("billing"),
    "developer": RoleSpec("developer"),
    "viewer": RoleSpec("viewer"),
    "operator": RoleSpec("operator", outside=True),
    "custom auditor": RoleSpec(
        permissions=(
            "organisation.read", "teams.read", "members.read", "audit.read", "keys.read",
            "usage.read", "requests.read", "models.read", "webhooks.read",
        )
    ),
    "custom of own": RoleSpec(
        permissions=(
            "keys.read:own", "keys.write_own", "usage.read:own", "requests.read:own",
            "playground.use", "playground.read", "budgets.read:own", "members.read:own",
        )
    ),
    # Each sees everything and changes their own, or the other way round.
    "custom reader": RoleSpec(
        permissions=(
            *filter(_is_reading, _WIDE), *itertools.filterfalse(_is_reading, _OF_ONE_SELF)
        )
    ),
    "custom writer": RoleSpec(
        permissions=(*filter(_is_reading, _NARROW), *itertools.filterfalse(_is_reading, _WIDE))
    ),
    "limited admin": RoleSpec("admin", limited=True),
    "limited developer": RoleSpec("developer", limited=True),
    "lead": RoleSpec("developer", limited=True, lead=True),
    "limited custom": RoleSpec(
        permissions=("keys.read", "keys.write", "budgets.read", "usage.read", "teams.read"),
        limited=True,
    ),
    "viewing operator": RoleSpec("admin", viewing=True),
    "no role": RoleSpec(outside=True),
}  # fmt: skip

MIXED: Final = ("custom reader", "custom writer")

# What a key that calls models reads of itself (docs/promises.md, P12).
OF_A_MODEL_KEY: Final = frozenset(
    {"keys.read", "usage.read", "requests.read", "models.read", "budgets.read", "prompts.read"}
)
# What is left of an organisation that is suspended: it is read, and pays what it owes.
WHILE_SUSPENDED: Final = frozenset(
    {*(action for action in get_args(Action) if action.endswith(".read")), "topups.write"}
)


@dataclass(frozen=True)
class Who:
    """Somebody who asks."""

    role: str
    carrier: Carrier = "session"
    standing: Standing = "active"

    def __str__(self) -> str:
        return f"{self.role} by {self.carrier}, {self.standing}"

    @property
    def spec(self) -> RoleSpec:
        return ROLES[self.role]

    @property
    def limited(self) -> bool:
        """Whether they reach one team alone; a service account is its team's."""
        return self.spec.limited or self.carrier == "service account key"

    @property
    def is_person(self) -> bool:
        """Whether something can be their own: a model key has but what it did itself."""
        carried = self.carrier in ("session", "management key") and not self.spec.viewing
        return carried and self.standing in ("active", "suspended")

    @property
    def is_known(self) -> bool:
        """Whether they are let in at all, anywhere."""
        if self.standing == "deactivated":
            return False
        return self.carrier == "session" or self.standing == "active"

    @property
    def is_member(self) -> bool:
        return self.standing in ("active", "suspended") and not self.spec.outside

    @property
    def operates(self) -> bool:
        return self.role == "operator" and self.carrier == "session" and self.is_known

    @cache  # noqa: B019 - they are few, and live as long as the tables
    def scope_of(self, action: Action, *, as_lead: bool = True) -> Scope | None:
        """How far they may do it."""
        if not self.is_known:
            return None
        if self.carrier == "model key":
            return "own" if action in OF_A_MODEL_KEY else None
        if self.operates:
            return roles.scope_of("operator", action)
        if not self.is_member:
            return None
        if self.standing == "suspended" and action not in WHILE_SUSPENDED:
            return None
        scope = self._scope_of_role(action)
        leads = as_lead and self.spec.lead and action in roles.LEAD_ACTIONS
        return roles.widest_scope([scope, "teams" if leads else None])

    def scope_at(self, guard: Guard, *, as_lead: bool = True) -> Scope | None:
        """How far they come at a guard; one that asks for no action lets everybody by."""
        if guard == "signed in" or guard == "public":
            return "all"
        return self.scope_of(guard, as_lead=as_lead)

    def _scope_of_role(self, action: Action) -> Scope | None:
        spec = self.spec
        if spec.viewing and action.startswith(("playground.", "prompts.", "content.")):
            return None
        if spec.built_in:
            scope = roles.scope_of(cast(roles.Role, spec.built_in), action)
        else:
            scope = roles.permitted_scope(spec.permissions, action)
        return roles.scope_within_teams(scope, action) if self.limited else scope


@cache
def everybody() -> tuple[Who, ...]:
    """Each role by each carrier it can have, in each standing that it can fall into."""
    return (*_everybody(),)


def _everybody() -> Iterator[Who]:
    for role, spec in ROLES.items():
        yield Who(role)
        if role == "operator":
            yield Who(role, standing="deactivated")
        if not spec.outside and not spec.viewing:
            yield from _members(role)
    # What an operator's key may do is what the person may as a member, and this one is none.


def _members(role: str) -> Iterator[Who]:
    standings: tuple[Standing, ...] = ("removed", "deactivated", "suspended")
    for one_usage in standings:
        yield Who(role, standing=one_usage)
    for one_usage in ("active", *standings):
        yield Who(role, "management key", one_usage)
        if may_have_model_keys(role):
            yield Who(role, "model key", one_usage)
    # An owner cannot be limited to teams, and a service account is. Mixed roles are a member's.
    if role != "owner" and role not in MIXED and not ROLES[role].limited:
        for one_usage in ("active", "deactivated", "suspended"):
            yield Who(role, "service account key", one_usage)


def may_have_model_keys(role: str) -> bool:
    return Who(role).scope_of(roles.HAS_KEYS) is not None
