"""Who asked what is kept: the team, key and person of entries, by name."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol
from uuid import UUID

from accounts.models import Key, Team, User
from lib.ids import id_text


class Asking(Protocol):
    """An entry, or a part of its columns."""

    @property
    def team_id(self) -> UUID: ...
    @property
    def key_id(self) -> UUID: ...
    @property
    def user_id(self) -> int | None: ...


class Asked(NamedTuple):
    """Who asked: the slug of the team, the id and the name of the key, and the email address of the
    person. "" if they no longer exist; None if the key has no person."""

    team: str
    key: str
    key_name: str
    person: str | None


class Names(NamedTuple):
    """The names of teams, keys and people, by id."""

    teams: Mapping[UUID, str]
    keys: Mapping[UUID, str]
    people: Mapping[int, str]

    def of(self, entry: Asking) -> Asked:
        return Asked(
            self.teams.get(entry.team_id, ""),
            id_text(entry.key_id),
            self.keys.get(entry.key_id, ""),
            None if entry.user_id is None else self.people.get(entry.user_id, ""),
        )


def names_of(entries: Iterable[Asking]) -> Names:
    """Return the names of whoever asked these entries, with three queries."""
    ids = [(entry.team_id, entry.key_id, entry.user_id) for entry in entries]
    teams, keys, people = ({*column} for column in zip(*ids, strict=True)) if ids else ((), (), ())
    return Names(
        dict(Team.objects.filter(id__in=teams).values_list("id", "slug")),
        dict(Key.objects.filter(id__in=keys).values_list("id", "name")),
        dict(User.objects.filter(id__in=people).values_list("id", "email")),
    )
