"""What the isolation matrix is played on: one object of each kind in each place, made once.
`building.py` makes them, `kinds` says of each room's how.

Acme has two teams, Core and Side; Stranger is another organisation. Whatever can be read of an
object carries the word of its place, so that a leak shows itself wherever it happens.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from django.test import Client

from accounts.models import Key, Organisation, Team, User
from accounts.roles.rules import Action
from lib.ids import id_text, new_id
from tests.isolation.who import Who

Where = Literal[
    "own", "colleague", "side", "foreign", "there", "missing", "none", "elsewhere", "nowhere"
]
"""Whose an object is: one's own, that of somebody else in the team Core, of the team Side, of
another organisation, of the installation, or nobody's because there is none. "none" is an address
that names no object. "elsewhere" is asked for under the other organisation's address, "nowhere"
under that of one which does not exist."""

NANO: Final = 10**9


@dataclass(frozen=True)
class Place:
    """Where objects are made. `word` stands in each text that can be read of them."""

    word: str
    organisation: Organisation
    team: Team
    user: User
    key: Key


@dataclass(eq=False)
class World:
    """The cast and the objects; `ids` holds what names an object in an address."""

    acme: Organisation
    core: Team
    side: Team
    stranger: Organisation
    dora: User
    places: dict[str, Place] = field(default_factory=dict)
    people: dict[tuple[str, str], User] = field(default_factory=dict)
    clients: dict[Who, Client] = field(default_factory=dict)
    ids: dict[tuple[str, str], str] = field(default_factory=dict)

    def id_of(self, kind: "Kind", where: Where, who: Who) -> str:
        """What names that object in an address; made when it is first needed."""
        if where == "missing":
            return kind.missing()
        at = self.place_of(where, who)
        if (kind.name, at.word) not in self.ids:
            self.ids[kind.name, at.word] = kind.make(self, at)
        return self.ids[kind.name, at.word]

    def asker(self, who: Who) -> User:
        """The person who asks, or whose key does."""
        standing = "active" if who.standing == "suspended" else who.standing
        return self.people[who.role, standing]

    def place_of(self, where: Where, who: Who) -> Place:
        there = {"own": who.role, "elsewhere": "foreign", "nowhere": "foreign"}.get(where, where)
        return self.places[there]


@dataclass(frozen=True)
class Kind:
    """A kind of object: how one is made, what it takes to see it, and where it can be.

    `read` is asked for before it is looked at; `reach` says how far whoever asks sees, where that
    is another action, and one's own is seen in any case. `personal`: it is somebody's own.
    `shared`: who has the action at all has it for their teams.
    `private`: nobody but its person sees it, whatever the scope.
    `of_members`: every member may know that there is one.
    `by_role`: the lead of a team does not reach it as such.
    """

    name: str
    read: Action | None
    make: Callable[[World, Place], str]
    missing: Callable[[], str] = lambda: id_text(new_id())
    wheres: tuple[Where, ...] = ("colleague", "side", "foreign", "missing")
    personal: bool = False
    private: bool = False
    shared: bool = False
    reach: Action | None = None
    of_organisation: bool = False
    of_members: bool = False
    by_role: bool = False

    def is_seen_by(self, who: Who, where: Where) -> bool:
        """Whether that one may know that the object there exists."""
        if where == "there":
            return self.read is None or who.operates
        if where == "missing":
            return False
        # Who comes so far is let into the other organisation: an operator.
        if where == "elsewhere":
            return not self.private
        if self.of_members:
            return who.is_member and where != "foreign"
        if self.read is None:
            return where == "own"
        if self.reach and where == "own" and who.is_person:
            return True
        return where != "foreign" and reaches(who, self.reach or self.read, where, self)


def reaches(who: Who, action: Action, where: Where, kind: Kind) -> bool:
    """Whether the action reaches an object of that kind there, in one's own organisation."""
    scope = who.scope_of(action, as_lead=not kind.by_role)
    if scope is None:
        return False
    own = where == "own" and who.is_person
    if where == "elsewhere":
        return scope == "all"
    if kind.private:
        return own
    if kind.of_organisation:
        return scope == "all"
    if kind.shared:
        return not who.limited or where != "side"
    return scope == "all" or (scope == "teams" and where != "side") or (scope == "own" and own)


_PERSONAL: Final[tuple[Where, ...]] = ("own", "colleague", "side", "foreign", "missing")
OF_ONE_SELF: Final[tuple[Where, ...]] = ("own", "colleague", "missing")
IN_ORGANISATION: Final[tuple[Where, ...]] = ("colleague", "foreign", "missing")
_INSTALLATION: Final[tuple[Where, ...]] = ("there", "missing")


def no_number() -> str:
    return "999999999"


def no_slug() -> str:
    return "no-such-one"


def no_pair() -> str:
    return f"{id_text(new_id())}/{id_text(new_id())}"


def personal(name: str, read: Action, make: Callable[[World, Place], str], **over: Any) -> Kind:
    return Kind(name, read, make, wheres=_PERSONAL, personal=True, **over)


def of_installation(
    name: str, read: Action, make: Callable[[World, Place], str], **over: Any
) -> Kind:
    return Kind(name, read, make, wheres=_INSTALLATION, **over)
