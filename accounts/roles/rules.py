"""Who may do what: the table of roles and actions.

A role grants an action on the whole organisation ("all") or only on what is the actor's own ("own":
own keys, the usage and requests of these keys, own conversations, own teams). An action that the
table does not list is refused. Only its author can read a conversation; `playground.read` shows the
page to people who may not send.

A member who is limited to teams has "teams" where others have "all", and only for objects of a
team. What belongs to the organisation as a whole is then out of reach.

A custom role is a chosen set of permissions: an action as an owner has it ("usage.read"), or only
on one's own ("usage.read:own"). It can also contain what no built-in role has ("content.read").

A member can be the lead of teams. A lead has "teams" for LEAD_ACTIONS there, whatever their role.

The operator is the role of the installation, not of an organisation. It sees what is needed to run
the installation, but never prompts, and has no keys.
"""

from collections.abc import Collection, Iterable
from typing import Final, Literal, cast, get_args

Role = Literal["owner", "admin", "billing", "developer", "viewer", "operator"]
Action = Literal[
    "organisation.read",
    "organisation.write",
    "sign_in.write",
    "teams.read",
    "teams.write",
    "team_members.write",
    "members.read",
    "members.write",
    "roles.write",
    "audit.read",
    "keys.read",
    "keys.write",
    "keys.write_own",
    "usage.read",
    "requests.read",
    "content.read",
    "sessions.write",
    "balance.read",
    "budgets.read",
    "budgets.write",
    "budgets.ask",
    "wallet.write",
    "topups.read",
    "topups.write",
    "codes.redeem",
    "codes.read",
    "codes.write",
    "credits.read",
    "credits.write",
    "webhooks.read",
    "webhooks.write",
    "playground.use",
    "playground.read",
    "playground.write",
    "prompts.read",
    "channels.read",
    "channels.test",
    "channels.write",
    "models.read",
    "prices.write",
    "organisations.read",
    "organisations.write",
    "view_as.begin",
]
Scope = Literal["own", "teams", "all"]
Permission = str
"""An action, optionally followed by ":own"."""

# Rows and columns are those of the isolation matrix and of the site map; where both leave a case
# open, the stricter reading applies. `playground.write` covers the playground settings for
# everybody, `sign_in.write` how members sign in: single sign-on, and who must use a second factor.
_ROWS: Final[dict[Action, str]] = {
    #                     owner admin billing developer viewer operator
    "organisation.read":  "all   all   all     all       all    all",
    "organisation.write": "all   -     -       -         -      -",
    "sign_in.write":     "all   -     -       -         -      -",
    "teams.read":        "all   all   all     own       own    all",
    "teams.write":       "all   all   -       -         -      -",
    "team_members.write": "all  all   -       -         -      -",
    "members.read":      "all   all   all     own       own    all",
    "members.write":     "all   all   -       -         -      -",
    "roles.write":       "all   all   -       -         -      -",
    "audit.read":        "all   all   -       -         -      all",
    "keys.read":         "all   all   all     own       -      all",
    "keys.write":        "all   all   -       -         -      -",
    "keys.write_own":    "own   own   -       own       -      -",
    "usage.read":        "all   all   all     own       all    all",
    "requests.read":     "all   all   all     own       all    all",
    "content.read":      "-     -     -       -         -      -",
    "sessions.write":    "all   all   -       own       -      all",
    "balance.read":      "all   all   all     -         -      all",
    "budgets.read":      "all   all   all     own       -      all",
    "budgets.write":     "all   all   -       -         -      -",
    "budgets.ask":       "all   all   -       own       -      -",
    "wallet.write":      "all   -     all     -         -      -",
    "topups.read":       "all   all   all     -         -      all",
    "topups.write":      "all   -     all     -         -      -",
    "codes.redeem":      "all   all   all     all       -      -",
    "codes.read":        "-     -     -       -         -      all",
    "codes.write":       "-     -     -       -         -      all",
    "credits.read":      "-     -     -       -         -      all",
    "credits.write":     "-     -     -       -         -      all",
    "webhooks.read":     "all   all   -       -         -      all",
    "webhooks.write":    "all   all   -       -         -      -",
    "playground.use":    "own   own   -       own       -      -",
    "playground.read":   "own   own   own     own       own    -",
    "playground.write":  "all   all   -       -         -      -",
    "prompts.read":      "all   all   all     all       all    -",
    "channels.read":     "-     -     -       -         -      all",
    "channels.test":     "-     -     -       -         -      all",
    "channels.write":    "-     -     -       -         -      all",
    "models.read":       "all   all   all     all       all    all",
    "prices.write":      "-     -     -       -         -      all",
    "organisations.read":  "-   -     -       -         -      all",
    "organisations.write": "-   -     -       -         -      all",
    "view_as.begin":     "-     -     -       -         -      all",
}  # fmt: skip
TABLE: Final[dict[Action, dict[Role, Scope]]] = {
    action: {
        role: cast(Scope, scope)
        for role, scope in zip(get_args(Role), row.split(), strict=True)
        if scope != "-"
    }
    for action, row in _ROWS.items()
}


def roles_with(action: Action) -> tuple[Role, ...]:
    """Return the roles that may do `action`, for messages that name them."""
    return tuple(TABLE[action])


HAS_KEYS: Final[Action] = "keys.write_own"
KEY_ROLES: Final = roles_with(HAS_KEYS)
"""The roles whose keys may call models. A key works only while its person may have one."""


TEAM_ACTIONS: Final[frozenset[Action]] = frozenset(
    {
        "teams.read",
        "teams.write",
        "team_members.write",
        "members.read",
        "members.write",
        "audit.read",
        "keys.read",
        "keys.write",
        "usage.read",
        "requests.read",
        "content.read",
        "sessions.write",
        "budgets.read",
        "budgets.write",
    }
)
"""Actions that can be limited to teams."""

LEAD_ACTIONS: Final[frozenset[Action]] = frozenset(
    {
        "team_members.write",
        "keys.read",
        "keys.write",
        "usage.read",
        "requests.read",
        "sessions.write",
        "budgets.read",
        "budgets.write",
    }
)
"""What the lead of a team can do there in addition to their role. Budgets only within the team's
own."""

CUSTOM_ALONE: Final[frozenset[Action]] = frozenset({"content.read"})
"""Actions that no built-in role has, not even an owner or an operator. A custom role can contain
them; an owner decides who gets it."""

_SHARED: Final[frozenset[Action]] = frozenset(
    {"organisation.read", "models.read", "prompts.read", "codes.redeem"}
)
"""What is the same for every team. Members limited to teams have it too."""

_WIDTH: Final[dict[Scope | None, int]] = {None: 0, "own": 1, "teams": 2, "all": 3}


def scope_of(role: Role, action: Action) -> Scope | None:
    """Return how far `role` may do `action`: "all" in the organisation, only for its "own" objects,
    or None."""
    return TABLE[action].get(role)


def permitted_scope(permissions: Collection[Permission], action: Action) -> Scope | None:
    """Return how far a custom role with these permissions may do `action`."""
    if action in permissions:
        return "all" if action in CUSTOM_ALONE else scope_of("owner", action)
    return "own" if f"{action}:own" in permissions else None


def widest_scope(scopes: Iterable[Scope | None]) -> Scope | None:
    """Return the widest of the scopes, or None."""
    return max(scopes, key=_WIDTH.__getitem__, default=None)


def scope_within_teams(scope: Scope | None, action: Action) -> Scope | None:
    """Return the scope that remains for a member who is limited to teams."""
    if scope != "all" or action in _SHARED:
        return scope
    if action in TEAM_ACTIONS:
        return "teams"
    return "own" if "own" in TABLE[action].values() else None


def is_wider(scope: Scope | None, other: Scope | None) -> bool:
    return _WIDTH[scope] > _WIDTH[other]


OWNERS_ALONE: Final[frozenset[Action]] = frozenset({"sign_in.write"})
"""Actions that no custom role can have: whoever sets how owners sign in could sign in as one."""


def _permissions() -> tuple[Permission, ...]:
    names: list[Permission] = []
    for action, by_role in TABLE.items():
        if action in CUSTOM_ALONE or ("owner" in by_role and action not in OWNERS_ALONE):
            names.append(action)
            if by_role.get("owner") == "all" and "own" in by_role.values():
                names.append(f"{action}:own")
    return tuple(names)


PERMISSIONS: Final = _permissions()
"""The permissions that a custom role can have, in the order of the table."""
