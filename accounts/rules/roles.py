"""Who may do what: the role x action table.

A role grants an action on the whole organisation ("all") or only on what is the actor's own
("own": own keys, the usage and requests of these keys, own conversations). What the table does not
name is refused. A conversation is read by its author alone; `playground.read` shows the page to
those who may not send.

The operator is the role of the installation, not of an organisation: it sees what is needed to run
it, never prompts, and makes no keys.
"""

from collections.abc import Iterable
from typing import Final, Literal, cast, get_args

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
# stricter reading holds. `playground.write` is what holds for everybody's playground.
_ROWS: Final[dict[Action, str]] = {
    #                     owner admin billing developer viewer operator
    "keys.read":         "all   all   all     own       -      all",
    "keys.write":        "all   all   -       -         -      -",
    "keys.write_own":    "own   own   -       own       -      -",
    "usage.read":        "all   all   all     own       all    all",
    "requests.read":     "all   all   all     own       all    all",
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
    """The roles that may do `action`, for the page that says which one is needed."""
    return tuple(TABLE[action])


KEY_ROLES: Final = roles_with("keys.write_own")
"""Whose keys call models: a key lasts no longer than its person may have one."""


def scope_of(role: Role, action: Action) -> Scope | None:
    """How far `role` may do `action`: "all" of the organisation, "own" only, or None for never."""
    return TABLE[action].get(role)


def widest_scope(roles: Iterable[Role], action: Action) -> Scope | None:
    """`scope_of` for an actor with several roles, such as a member who is an operator as well."""
    scopes = {scope_of(role, action) for role in roles}
    if "all" in scopes:
        return "all"
    return "own" if "own" in scopes else None
