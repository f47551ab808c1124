"""A line of the table. `at(action)` is a page that needs the action; `at(action, KIND)` one of an
object, whose kind says who sees it (`tests/isolation/kinds`). The rest is for what is out of the
ordinary, see `Route`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from accounts.roles.rules import Action
from tests.isolation.who import Guard
from tests.isolation.world import Kind

Status = Literal[401, 403, 404]


@dataclass(frozen=True)
class Route:
    """What a route needs, and what has to be sent for it to be reached.

    - `guard`: the action that is asked for at the door
    - `kind`: what its address names, or its body (`in_body`)
    - `write`: one of these must reach the object besides
    - `also`: is needed besides, and `post` by the form alone
    - `first`: is asked for before the object is looked at, of everybody but whose it is
    - `others`: nobody does it to themselves; `oneself`: everybody does it to themselves
    - `all_teams`: what a member is told who is limited to teams
    - `by_role`: who may do it as the lead of a team alone is refused
    - `operators`: what an operator's session is told, which stands in no organisation in the API
    - `while_viewing`: it is for who views an organisation, who changes nothing else
    - `by_session`: keys are refused, whatever they may do
    - `by_person`: keys that belong to no person, or call models, are refused
    - `nothing`: it finds nothing in this world, and says so by 404
    - `body`: what is sent, made from the object's id; `rest`: what the address has besides
    """

    guard: Guard
    kind: Kind | None = None
    in_body: bool = False
    write: tuple[Action, ...] = ()
    also: Action | None = None
    post: Action | None = None
    first: Action | None = None
    others: bool = False
    oneself: bool = False
    all_teams: Status | None = None
    operators: Status | Literal["in"] | None = None
    by_role: bool = False
    by_session: bool = False
    by_person: bool = False
    nothing: bool = False
    while_viewing: bool = False
    body: Callable[[str], Mapping[str, Any]] = lambda id: {}
    rest: Mapping[str, object] = field(default_factory=dict)


def at(guard: Guard, kind: Kind | None = None, **over: Any) -> Route:
    write = over.pop("write", ())
    over["write"] = (write,) if isinstance(write, str) else write
    return Route(guard, kind, **over)


def sends(**fields: Any) -> Callable[[str], Mapping[str, Any]]:
    return lambda id: fields


def listed(id: str) -> Mapping[str, Any]:
    """What a list's form sends of the rows that are ticked."""
    return {"id": id}


# Either writes a key; the second, one's own.
WRITES_KEYS: Final = ("keys.write", "keys.write_own")
