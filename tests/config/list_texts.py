"""What a list has to say of its rows besides figures: by list, as a function that makes the rows.

No two columns of a row have the same value, so that none can stand for another."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.test import Client

from accounts.models import User
from lib import clock
from lib.tables.table import REGISTERED
from tests.support import cast

NANO: Final = 10**9
DAY: Final = dt.timedelta(days=1)
# Instants of different days, hours and seconds.
MADE, ENDED, LATER, LAST = (
    dt.datetime(2026, month, month + 3, month + 7, month, month, tzinfo=dt.UTC)
    for month in (1, 2, 3, 4)
)
SOON: Final = clock.now().replace(microsecond=0) + 9 * DAY


@dataclass(frozen=True)
class Listed:
    """A list: its page; the texts of its rows in their file; and the rows, by their places, that a
    query keeps. `whole` is the query of all rows. Then the same of the API."""

    table: str
    path: str
    rows: Sequence[Mapping[str, str]]
    kept: Mapping[str, Sequence[int]] = field(default_factory=dict)
    who: str = "alice"
    whole: str = ""
    client: Client | None = None
    api: str = ""
    items: Sequence[Mapping[str, Any]] = ()
    api_kept: Mapping[str, Sequence[int]] = field(default_factory=dict)


LISTS: Final[dict[str, Callable[[cast.Cast], Listed]]] = {}


def shows(make: Callable[[cast.Cast], Listed]) -> Callable[[cast.Cast], Listed]:
    LISTS[make.__name__] = make
    return make


def in_file(at: dt.datetime | None) -> str:
    return at.isoformat(timespec="milliseconds") if at else ""


def in_api(at: dt.datetime | None) -> str | None:
    return clock.rfc3339(at) if at else None


def chosen(table: str, name: str, value: str) -> str:
    """What the filter of a list calls one of its values."""
    choices = next(one.choices for one in REGISTERED[table].filters if one.name == name)
    return str(dict(choices)[value])


def operator(name: str) -> User:
    return cast.person(name, operator=True)
