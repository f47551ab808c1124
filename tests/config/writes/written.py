"""What each write leaves in the rows of its tables. `written.txt` has it, as the product wrote it
when a reader agreed with it.

    name: inserts table: column value, column value
    name: updates table row: column old → new
    name: deletes table row

The tables are those that `effects.txt` names; what events, facts and the epoch have in them is in
`says.txt`. An insert lists the columns that are not empty. A time that the write set is said from
the moment of the write, or by its day or month; whatever points to a row has the name of the row.
Ids and secrets are different each time; they are §, secrets with their number of bytes, and with
the row that had the secret before.

A test that fails shows the lines of its write as they are now, as it does with `effects.txt` and
`says.txt`: whoever changed the write reads them, and puts them into the file if they are right.
"""

import datetime as dt
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cache
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from django.apps import apps
from django.db import connection, models

from accounts.access.actors import Actor
from accounts.secrets.sealing import vault
from lib.database.sealed_field import SealedField
from lib.ids import id_text
from lib.vault import VaultError
from tests.support.cast import Cast

Row = Mapping[str, Any]
# The names of rows by their table and key; those of rows with an id of their own also by that.
Names = Mapping[Any, str]

_ELSEWHERE: Final = {"accounts_auditevent", "accounts_epoch", "outbox_fact"}
_TABLE: Final = re.compile(r"\b[a-z]+_\w+")
# What a row without a name of its own is named by: the first of these that it has.
_NAMING: Final = ("name", "email", "slug", "title", "model", "kind", "scope", "url", "member")
# Numbers that point to rows, and are no foreign keys.
_POINTING: Final = {
    "account_ids": "billing_account",
    "window_ids": "billing_budgetwindow",
    "rated_ids": "billing_budgetwindow",
    "subject": "accounts_user",
    "user_id": "accounts_user",
}
# Random letters, and what else the writes do not choose.
_LETTERS: Final = {"last4", "prefix"}
_DRAWN: Final = {*_LETTERS, "admitted_at", "entry_id", "next_poll_at", "password", "total_ms"}
_ID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|[0-9A-HJKMNP-TV-Z]{26}|[0-9a-f]{8,64}(?= …)"
)
_TIME: Final = re.compile(
    r"(?<![\w-])(20\d\d-\d\d-\d\d)(?:T\d\d:\d\d:\d\d(?:\.\d+)?(?:\+00:00|Z))?(?![\w-])"
)
# Days that the writes are given as they are.
_GIVEN: Final = {"2026-01-01"}
# Longer ones list what others add to.
_TEXT_MAX: Final = 100
_SPANS: Final = {
    "day": dt.timedelta(days=1),
    "hour": dt.timedelta(hours=1),
    "minute": dt.timedelta(minutes=1),
}


def _read() -> Mapping[str, Sequence[str]]:
    lines = Path(__file__).with_name("written.txt").read_text().splitlines()
    return {name: list(of) for name, of in groupby(lines, lambda line: line.partition(": ")[0])}


LINES: Final = _read()


@dataclass(frozen=True)
class Rows:
    """The rows of some tables by their keys, at a moment of a transaction that began before."""

    began: dt.datetime
    at: dt.datetime
    tables: Mapping[str, Mapping[Any, Row]]


def tables_of(effects: str) -> Sequence[str]:
    """The tables that a line of `effects.txt` names, but those whose content is elsewhere."""
    known = _models()
    return [name for name in dict.fromkeys(_TABLE.findall(effects)) if name in known]


def rows_of(tables: Sequence[str]) -> Rows:
    parts = [f'(SELECT jsonb_agg(to_jsonb(t)) FROM "{table}" t)' for table in tables]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(['now()', 'clock_timestamp()', *parts])}")
        began, at, *found = cursor.fetchone()
    by_table = {}
    for table, rows in zip(tables, found, strict=True):
        by_table[table] = {_key_of(table, row): row for row in json.loads(rows or "[]")}
    return Rows(began, at, by_table)


def lines(
    name: str, world: object, before: Rows, after: Rows, known: Collection[str] = ()
) -> list[str]:
    """What a write left, in the form of `written.txt`. The first day of a month has two names on
    some days; it has the one that it has there, or in `known`."""
    return chosen(
        _both(name, _names(world, before, after), before, after), {*known, *LINES.get(name, ())}
    )


@dataclass(frozen=True)
class Beginning:
    """The rows of all tables before any of several writes, each of which is taken back."""

    rows: Rows
    names: Names

    @classmethod
    def now(cls, world: object) -> "Beginning":
        rows = rows_of([*_models()])
        return cls(rows, _names(world, rows))

    def left(
        self, name: str, tables: Collection[str], began: dt.datetime
    ) -> Iterator[tuple[str, str]]:
        """What a write to these tables left that began then, each line in two forms, of which
        `chosen` takes one. A time that was there before is §."""
        tables = sorted(_models().keys() & tables)
        rows = rows_of(tables)
        after = Rows(began, rows.at, rows.tables)
        before = Rows(began, began, {table: self.rows.tables[table] for table in tables})
        return _both(name, _names(None, after, known=self.names), before, after, is_old=True)


def chosen(both: Iterable[tuple[str, str]], known: Collection[str]) -> list[str]:
    """Of two forms of each line the one that is known, else the first."""
    return sorted(one if one in known or other not in known else other for one, other in both)


def _both(
    name: str, names: Names, before: Rows, after: Rows, *, is_old: bool = False
) -> Iterator[tuple[str, str]]:
    """Each line with times by month, and with times by day."""
    writers = [
        _Writer(names, before, after, Times(before.began, after.at, by_month, is_old))
        for by_month in (True, False)
    ]
    for by_month, by_day in zip(*(writer.texts() for writer in writers), strict=True):
        yield f"{name}: {by_month}", f"{name}: {by_day}"


@cache
def _models() -> Mapping[str, type[models.Model]]:
    every = apps.get_models(include_auto_created=True)
    return {one._meta.db_table: one for one in every if one._meta.db_table not in _ELSEWHERE}


@cache
def _fields(table: str) -> Mapping[str, Any]:
    return {str(field.column): field for field in _models()[table]._meta.local_concrete_fields}


@cache
def _key(table: str) -> Sequence[str]:
    key: Any = _models()[table]._meta.pk
    return tuple(field.column for field in getattr(key, "fields", (key,)))


def _key_of(table: str, row: Row) -> Any:
    key = tuple(row[column] for column in _key(table))
    return key if len(key) > 1 else key[0]


def _names(world: object, *sides: Rows, known: Names = MappingProxyType({})) -> Names:
    """The names of all rows that are known, by table and key; by id alone, if no others have it."""
    names: dict[Any, str] = {**known}
    rows = [(table, row) for side in sides
            for table, of in side.tables.items() for row in of.values()]  # fmt: skip
    for name, one in _of_world(world) if world else ():
        _add(names, one._meta.db_table, _plain(one.pk), name)
    # What is named after another row comes after it.
    for table, row in sorted(rows, key=lambda each: _named(each[1]) is None):
        key = _key_of(table, row)
        if (table, key) not in names:
            _add(names, table, key, _name(names, table, row))
    return names


def _add(names: dict[Any, str], table: str, key: Any, name: str) -> None:
    names[table, key] = name
    if isinstance(key, str) and len(key) == 36:
        names[key] = names[id_text(UUID(key))] = name


def _of_world(world: Any) -> Iterator[tuple[str, models.Model]]:
    for field in fields(world):
        value = getattr(world, field.name)
        if isinstance(value, Cast):
            yield from _of_world(value)
        elif isinstance(value, Actor) and value.user is not None:
            yield field.name, value.user
        elif isinstance(value, models.Model):
            yield field.name, value


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value


def _named(row: Row) -> str | None:
    return next((str(row[column]) for column in _NAMING if row.get(column)), None)


def _name(names: Names, table: str, row: Row) -> str:
    """Its own name, behind that of its organisation if it is an account; or the one of the row that
    it belongs to."""
    own = _named(row)
    if own is not None and table != "billing_account":
        return own
    pointing = ((column, field.related_model) for column, field in _fields(table).items()
                if field.is_relation and row[column] is not None)  # fmt: skip
    found = (names.get((model._meta.db_table, row[column])) for column, model in pointing)
    other = next(filter(None, found), "§")
    return f"{other} {own}" if own else other


@dataclass(frozen=True)
class Times:
    """Times as a write sees them that happens between two moments: `now`, `+7 days`, `today`,
    `day +1`, `this month`, `month +1`, `end of this month`."""

    began: dt.datetime
    at: dt.datetime
    by_month: bool = True
    # Whether rows have times from long before the write. These are §.
    is_old: bool = False

    def sub(self, text: str) -> str:
        return _TIME.sub(self._name, text)

    def _name(self, match: re.Match[str]) -> str:
        if match[1] in _GIVEN:
            return match[0]
        time = dt.datetime.fromisoformat(match[0])
        time = time if time.tzinfo else time.replace(tzinfo=dt.UTC)
        if time == time.replace(hour=0, minute=0, second=0, microsecond=0):
            return self._day(time.date())
        # A clock was read at any moment between the two: of what is possible, it is the roundest.
        low, high = time - self.at, time - self.began
        for name, span in _SPANS.items():
            count = high // span
            is_near = self.is_old and count < 0 and name != "day"
            if count * span >= low and not is_near:
                return f"{count:+d} {name}{'s' * (abs(count) != 1)}" if count else "now"
        return "§"

    def _day(self, day: dt.date) -> str:
        today = self.began.date()
        if self.is_old and day < today.replace(day=1):
            return "§"
        if self.by_month and (day + dt.timedelta(days=1)).day == 1:
            return f"end of {self._day(day.replace(day=1))}"
        if self.by_month and day.day == 1:
            months = 12 * (day.year - today.year) + day.month - today.month
            return f"month {months:+d}" if months else "this month"
        return f"day {(day - today).days:+d}" if day != today else "today"


class _Writer:
    """The lines of a write's rows."""

    def __init__(self, names: Names, before: Rows, after: Rows, times: Times) -> None:
        self._names, self._before, self._after, self._times = names, before, after, times
        self._secrets: dict[str, str] = {}
        for table, rows in before.tables.items():
            for column in _secret_columns(table):
                for key, row in rows.items():
                    # A test may have put there what is no secret.
                    with suppress(VaultError):
                        if secret := _secret(table, column, row):
                            self._secrets[secret] = names[table, key]

    def texts(self) -> Iterator[str]:
        for table, rows in self._after.tables.items():
            old = self._before.tables[table]
            for key, row in rows.items():
                if key not in old:
                    yield f"inserts {table}: {self._filled(table, row)}"
                elif row != old[key]:
                    changed = self._changed(table, old[key], row)
                    yield f"updates {table} {self._names[table, key]}: {changed}"
            for key in old.keys() - rows.keys():
                yield f"deletes {table} {self._names[table, key]}"

    def _filled(self, table: str, row: Row) -> str:
        # An id that is nothing but that.
        key, *more = (_fields(table)[column] for column in _key(table))
        shown = more or key.is_relation or isinstance(key, models.BinaryField)
        hidden = "" if shown else key.column
        return ", ".join(
            f"{column} {self._value(table, column, row[column])}{self._owner(table, column, row)}"
            for column in _fields(table)
            if column != hidden and not _is_empty(row[column])
        )

    def _changed(self, table: str, old: Row, new: Row) -> str:
        return ", ".join(
            f"{column} {self._value(table, column, self._former(table, column, old[column]))}"
            f" → {self._value(table, column, new[column])}{self._owner(table, column, new)}"
            for column in _fields(table)
            if new[column] != old[column]
        )

    def _value(self, table: str, column: str, value: Any) -> str:
        field = _fields(table)[column]
        if value is None:
            return "null"
        if isinstance(field, models.BinaryField):
            return f"§{(len(value) - 2) // 2}"
        if column in _DRAWN:
            return f"§{len(value)}" if column in _LETTERS else "§"
        to = field.related_model._meta.db_table if field.is_relation else _POINTING.get(column)
        if to is not None and isinstance(value, list):
            return f"[{', '.join(self._row(to, one) for one in value)}]"
        if to is not None and (field.is_relation or str(value).isdecimal()):
            return self._row(to, value if field.is_relation else int(value))
        if isinstance(field, models.DateField | models.UUIDField):
            return self._signed(value)
        if isinstance(value, str) and len(value) > _TEXT_MAX:
            value = f"{value[:_TEXT_MAX]}…"
        return json.dumps(self._inside(value), ensure_ascii=False, sort_keys=True)

    def _former(self, table: str, column: str, value: Any) -> Any:
        """A value from before, whose time is no more than that if it is older than the write."""
        is_time = isinstance(_fields(table)[column], models.DateTimeField)
        return "§" if value is not None and is_time and self._times.is_old else value

    def _owner(self, table: str, column: str, row: Row) -> str:
        """The row that had a secret before."""
        secret = _secret(table, column, row) if column in _secret_columns(table) else None
        owner = self._secrets.get(secret) if secret else None
        return f" of {owner}" if owner else ""

    def _row(self, table: str, key: Any) -> str:
        return self._names.get((table, key), "§")

    def _inside(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._signed(value)
        if isinstance(value, list):
            return [self._inside(one) for one in value]
        if isinstance(value, dict):
            return {self._signed(key): self._inside(one) for key, one in value.items()}
        return value

    def _signed(self, text: str) -> str:
        text = _ID.sub(lambda match: self._names.get(match[0], "§"), text)
        return self._times.sub(text)


@cache
def _secret_columns(table: str) -> frozenset[str]:
    of = _fields(table).items()
    return frozenset(name for name, field in of
                     if name == "last4" or isinstance(field, models.BinaryField))  # fmt: skip


def _secret(table: str, column: str, row: Row) -> str | None:
    """What can be compared of a secret; what is sealed is opened, for its row."""
    value, field = row[column], _fields(table)[column]
    if not value or not isinstance(field, SealedField):
        return value or None
    binary = {name for name, one in _fields(table).items() if isinstance(one, models.BinaryField)}
    stored = {name: bytes.fromhex(one[2:]) if one and name in binary else one
              for name, one in row.items()}  # fmt: skip
    return vault().open(stored[column], field.place_of(stored))


def _is_empty(value: Any) -> bool:
    return value is None or value is False or value in ("", [], {})
