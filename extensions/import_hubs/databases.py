"""Read a peer's database: a SQLite file, a dump of MySQL or Postgres, or a running Postgres.

It is never written to.
"""

import re
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from extensions.import_hubs.sql_dump import DumpInvalid, read_dump
from extensions.import_hubs.values import Row

_SQLITE: Final = b"SQLite format 3\x00"
_DUMP_MAX: Final = 512 * 1024 * 1024
# A number, a word such as true, or a string, as Postgres writes it with the type after it.
_LITERAL: Final = re.compile(r"(-?[\w.]+|['\"](.*)['\"])(?:::.*)?", re.DOTALL)


_DEFAULTS: Final = (
    "SELECT column_name, column_default FROM information_schema.columns "
    "WHERE table_schema = current_schema() AND table_name = %s"
)


class DatabaseUnreadable(Exception):
    """The database cannot be read. The text says why and what to do instead, without passwords."""


@dataclass(frozen=True)
class Database:
    """The rows of the wanted tables, and the number of rows of the other tables. `defaults` are the
    default values of columns, by table."""

    rows: Mapping[str, list[Row]]
    others: Mapping[str, int]
    defaults: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


def open_database(location: str, wanted: Collection[str]) -> Database:
    """Read a file, or the database at a `postgresql://` address. Raises DatabaseUnreadable."""
    if location.startswith(("postgresql://", "postgres://")):
        return _from_postgres(location, wanted)
    path = Path(location)
    try:
        with path.open("rb") as file:
            head = file.read(len(_SQLITE))
        if head == _SQLITE:
            return _from_sqlite(path, wanted)
        return _from_dump(path, wanted)
    except OSError as error:
        raise DatabaseUnreadable(f"{location} cannot be read: {error.strerror}.") from error


def _from_sqlite(path: Path, wanted: Collection[str]) -> Database:
    try:
        # The latest changes of a database in use are in files next to it, which are read too.
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            connection.text_factory = lambda octets: octets.decode("utf-8", "surrogateescape")
            names = "SELECT name FROM sqlite_master WHERE type = 'table'"
            tables = [name for (name,) in connection.execute(names)]
            connection.row_factory = sqlite3.Row
            rows: dict[str, list[Row]] = {}
            others, defaults = {}, {}
            for table in tables:
                quoted = '"' + table.replace('"', '""') + '"'
                if table in wanted:
                    cursor = connection.execute(f"SELECT * FROM {quoted}")  # noqa: S608
                    rows[table] = [dict(row) for row in cursor]
                    columns = connection.execute(f"PRAGMA table_info({quoted})")
                    defaults[table] = _defaults(
                        (column["name"], column["dflt_value"]) for column in columns
                    )
                elif not table.startswith("sqlite_"):
                    count = connection.execute(f"SELECT count(*) FROM {quoted}")  # noqa: S608
                    others[table] = count.fetchone()[0]
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise DatabaseUnreadable(f"{path} cannot be read as SQLite: {error}.") from error
    return Database(rows, others, defaults)


def _defaults(written: Iterable[tuple[str, str | None]]) -> dict[str, object]:
    """Parse the defaults that are plain values from the schema."""
    return {
        column: match[1] if match[2] is None else match[2]
        for column, text in written
        if text is not None and (match := _LITERAL.fullmatch(text.strip()))
    }


def _from_dump(path: Path, wanted: Collection[str]) -> Database:
    if path.stat().st_size > _DUMP_MAX:
        tables = " ".join(sorted(wanted))
        raise DatabaseUnreadable(
            f"{path} has more than {_DUMP_MAX >> 20} MiB. Dump only what is imported: the tables "
            f"{tables}."
        )
    try:
        dump = read_dump(path.read_text("utf-8"), wanted)
    except UnicodeDecodeError as error:
        raise DatabaseUnreadable(
            f"{path} is neither a SQLite database nor a dump in UTF-8 (plain SQL, not pg_dump's "
            "custom form)."
        ) from error
    except DumpInvalid as error:
        raise DatabaseUnreadable(f"{path}: {error}.") from error
    if not dump:
        raise DatabaseUnreadable(f"{path} is neither a SQLite database nor a dump with tables.")
    rows: dict[str, list[Row]] = {
        name: list(table.rows) for name, table in dump.items() if name in wanted
    }
    others = {name: table.count for name, table in dump.items() if name not in wanted}
    defaults = {name: _defaults(dump[name].defaults.items()) for name in rows}
    return Database(rows, others, defaults)


def _from_postgres(address: str, wanted: Collection[str]) -> Database:
    try:
        with psycopg.connect(address, row_factory=dict_row, connect_timeout=10) as connection:
            connection.read_only = True
            names = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1"
            )
            rows: dict[str, list[Row]] = {}
            others, defaults = {}, {}
            for table in [row["tablename"] for row in names]:
                name = sql.Identifier(table)
                if table in wanted:
                    read = sql.SQL("SELECT * FROM {}").format(name)
                    rows[table] = [dict(row) for row in connection.execute(read)]
                    columns = connection.execute(_DEFAULTS, [table])
                    defaults[table] = _defaults(
                        (column["column_name"], column["column_default"]) for column in columns
                    )
                else:
                    count = sql.SQL("SELECT count(*) AS n FROM {}").format(name)
                    counted = connection.execute(count).fetchone()
                    others[table] = counted["n"] if counted else 0
    except (psycopg.Error, UnicodeError) as error:
        # The driver's message may contain the address with its password.
        kind = type(error).__name__
        raise DatabaseUnreadable(
            f"The database cannot be read ({kind}). Check the address, the password and that the "
            "user may read its tables."
        ) from error
    return Database(rows, others, defaults)
