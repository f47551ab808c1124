"""Who may do what: the role x action table.

A role grants an action on the whole organisation ("all") or only on what is the actor's own
("own": own keys, the usage and requests of these keys, own conversations). What the table does not
name is refused. A conversation is read by its author alone; `playground.read` shows the page to
those who may not send.

The operator is the role of the installation, not of an organisation: it sees what is needed to run
it, never prompts, and makes no keys.
"""

from collections.abc import Iterable
from typing import Final, Literal

Role = Literal["owner", "admin", "billing", "developer", "viewer", "operator"]
Action = Literal[
    "keys.read",
    "keys.write",
    "keys.write_own",
    "usage.read",
    "requests.read",
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
]
Scope = Literal["own", "all"]

# Rows and columns are those of the isolation matrix and of the site map; where both are silent the
# stricter reading holds.
TABLE: Final[dict[Action, dict[Role, Scope]]] = {
    "keys.read": {
        "owner": "all",
        "admin": "all",
        "billing": "all",
        "developer": "own",
        "operator": "all",
    },
    "keys.write": {"owner": "all", "admin": "all"},
    "keys.write_own": {"owner": "own", "admin": "own", "developer": "own"},
    "usage.read": {
        "owner": "all",
        "admin": "all",
        "billing": "all",
        "developer": "own",
        "viewer": "all",
        "operator": "all",
    },
    "requests.read": {
        "owner": "all",
        "admin": "all",
        "billing": "all",
        "developer": "own",
        "viewer": "all",
        "operator": "all",
    },
    "balance.read": {"owner": "all", "admin": "all", "billing": "all", "operator": "all"},
    "budgets.read": {
        "owner": "all",
        "admin": "all",
        "billing": "all",
        "developer": "own",
        "operator": "all",
    },
    "budgets.write": {"owner": "all", "admin": "all"},
    "budgets.ask": {"owner": "all", "admin": "all", "developer": "own"},
    "wallet.write": {"owner": "all", "billing": "all"},
    "topups.read": {"owner": "all", "admin": "all", "billing": "all", "operator": "all"},
    "topups.write": {"owner": "all", "billing": "all"},
    "codes.redeem": {"owner": "all", "admin": "all", "billing": "all", "developer": "all"},
    "codes.read": {"operator": "all"},
    "codes.write": {"operator": "all"},
    "credits.read": {"operator": "all"},
    "credits.write": {"operator": "all"},
    "webhooks.read": {"owner": "all", "admin": "all", "operator": "all"},
    "webhooks.write": {"owner": "all", "admin": "all"},
    "playground.use": {"owner": "own", "admin": "own", "developer": "own"},
    "playground.read": {
        "owner": "own",
        "admin": "own",
        "billing": "own",
        "developer": "own",
        "viewer": "own",
    },
    # What holds for everybody's playground.
    "playground.write": {"owner": "all", "admin": "all"},
    "prompts.read": {
        "owner": "all",
        "admin": "all",
        "billing": "all",
        "developer": "all",
        "viewer": "all",
    },
    "channels.read": {"operator": "all"},
    "channels.test": {"operator": "all"},
    "channels.write": {"operator": "all"},
    "models.read": {
        "owner": "all",
        "admin": "all",
        "billing": "all",
        "developer": "all",
        "viewer": "all",
        "operator": "all",
    },
    "prices.write": {"operator": "all"},
}


def scope_of(role: Role, action: Action) -> Scope | None:
    """How far `role` may do `action`: "all" of the organisation, "own" only, or None for never."""
    return TABLE[action].get(role)


def widest_scope(roles: Iterable[Role], action: Action) -> Scope | None:
    """`scope_of` for an actor with several roles, such as a member who is an operator as well."""
    scopes = {scope_of(role, action) for role in roles}
    if "all" in scopes:
        return "all"
    return "own" if "own" in scopes else None


def roles_with(action: Action) -> tuple[Role, ...]:
    """The roles that may do `action`, for the page that says which one is needed."""
    return tuple(TABLE[action])
