"""Migrations while an installation serves, each against a million rows: nobody waits longer for a
table than a migration waits for its lock (docs/operate/update.md, "Migrations while it serves").

A database is brought to the squashed migrations; the large tables are filled; then `manage.py
migrate` applies the later ones beside clients that write to and read from every one of these
tables, and a reader that holds all of them for a second at a time, as a report does.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import psycopg
import pytest
from django.db.migrations.loader import MigrationLoader
from psycopg import sql

from lib.database.table_locks import LOCK_WAIT_MS
from tests.house.test_migrations import LARGE
from tests.house.test_style import ROOMS
from tests.runner.databases import own_database
from tests.support.hub import ROOT

ROWS: Final = 1_000_000
READ_S: Final = 1.0
# Beside the wait for a lock, that of a busy machine until it is given to the next one.
SLACK_MS: Final = 500
# In the process of the base, whose state is that of an older version: what it must migrate to.
BASE = """
import django, json, sys
django.setup()
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from tests.config.test_large_migrations import base_of
executor = MigrationExecutor(connection)
executor.migrate([*base_of(executor), *(tuple(name.split(".")) for name in sys.argv[1:])])
"""
# What a value of each type is for the row n; `id_of_now` is an id that falls into this month.
BY_TYPE: Final[Mapping[str, str]] = {
    "uuid": "pg_temp.id_of_now(n)",
    "int8": "n",
    "int4": "1",
    "int2": "1",
    "bool": "false",
    "text": "''",
    "varchar": "''",
    "jsonb": "'{}'",
    "timestamptz": "now()",
    "date": "current_date",
    "bytea": "''",
}
CONTENT_LOG: Final = "0001_content_log"
# Where a table has rules of its own for its values.
OWN: Final[Mapping[str, Mapping[str, str]]] = {
    "billing_hold": {"state": "'settled'", "resolved_at": "now()"},
    "billing_posting": {"idempotency_id": "'made-' || n"},
    # Only the record that ends a request is charged.
    "usage_usagerecord": {"final": "true"},
    # Its partitions are made before rows are written: these.
    "content_entry": {"drop_at": "'2100-01-01'::timestamptz + mod(n, 3) * interval '1 hour'"},
}
PARTITIONS: Final = """
    SELECT content_make_partition('2100-01-01'::timestamptz + n * interval '1 hour')
    FROM generate_series(0, 2) n"""


def base_of(executor: Any) -> list[tuple[str, str]]:
    """The squashed migrations, after which the rule of tests/house/test_migrations.py holds: the
    earlier one of a room first, for an applied one with later ones would be gone back to."""
    return sorted(executor.loader.replacements)


def later_migrations() -> list[tuple[str, str]]:
    loader = MigrationLoader(None, ignore_no_migrations=True)
    return [
        (room, name)
        for (room, name), migration in loader.disk_migrations.items()
        if room in ROOMS and not migration.replaces
    ]


def content_migrations() -> list[tuple[str, str]]:
    """Those after the one that makes the table of the content log, which came after the squash."""
    return [(room, name) for room, name in later_migrations()
            if room == "content" and name > CONTENT_LOG]  # fmt: skip


@dataclass
class Table:
    """A large table with the statement that adds rows to it."""

    name: str
    insert: sql.Composed
    waits_ms: list[tuple[float, float]] = field(default_factory=list)

    @classmethod
    def of(cls, connection: "psycopg.Connection[Any]", name: str) -> "Table":
        columns = connection.execute(
            "SELECT column_name, udt_name FROM information_schema.columns WHERE table_name = %s "
            "AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO' "
            "AND is_generated = 'NEVER' ORDER BY ordinal_position",
            [name],
        ).fetchall()
        own = OWN.get(name, {})
        made_up = {column: value_of(kind) for column, kind in columns if column not in own}
        inputs = made_up | dict(own)
        return cls(
            name,
            sql.SQL(
                "INSERT INTO {} ({}) SELECT {} FROM generate_series(%s::bigint, %s::bigint) n"
            ).format(
                sql.Identifier(name),
                sql.SQL(", ").join(map(sql.Identifier, inputs)),
                sql.SQL(", ").join(sql.SQL(value) for value in inputs.values()),
            ),
        )


class Failure(NamedTuple):
    """Somebody waited longer for a lock than a migration does."""

    at: float
    table: str
    text: str


def value_of(kind: str) -> str:
    return "'{}'" if kind.startswith("_") else BY_TYPE[kind]


@contextmanager
def session(dsn: str, *, lock_timeout_ms: int = 0) -> Iterator["psycopg.Connection[Any]"]:
    """Rows that are made up are checked for their form, and not against other rows."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(f"SET lock_timeout = {lock_timeout_ms}".encode())
        connection.execute(
            "CREATE FUNCTION pg_temp.id_of_now(n bigint) RETURNS uuid LANGUAGE sql AS $$ SELECT ("
            "lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '7' || "
            "lpad(to_hex(n & 4095), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid $$"
        )
        yield connection


def fill(dsn: str, rows: int, names: Collection[str]) -> list[Table]:
    with session(dsn) as connection:
        there = {
            name
            for (name,) in connection.execute(
                "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')"
            )
        }
        if "content_entry" in there:
            connection.execute(PARTITIONS)
        tables = [Table.of(connection, name) for name in names if name in there]
        for table in tables:
            connection.execute(table.insert, [1, rows])
            connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table.name)))
    return tables


def write_until(dsn: str, table: Table, over: threading.Event, failures: list[Failure]) -> None:
    """Add a row and read one, again and again. One that waits longer for a lock fails."""
    n = 2 * ROWS
    with session(dsn, lock_timeout_ms=LOCK_WAIT_MS + SLACK_MS) as connection:
        read = sql.SQL("SELECT * FROM {} LIMIT 0").format(sql.Identifier(table.name))
        while not over.is_set():
            n += 1
            began = time.monotonic()
            try:
                with connection.transaction():
                    connection.execute(table.insert, [n, n])
                    connection.execute(read)
            except psycopg.errors.LockNotAvailable as error:
                failures.append(Failure(time.time(), table.name, str(error)))
            except psycopg.errors.FeatureNotSupported:
                # "cached plan must not change result type": the table has a column more.
                connection.execute("DEALLOCATE ALL")
            except psycopg.errors.ObjectNotInPrerequisiteState:
                # A view has the table's name, with a trigger that stores what older processes add.
                connection.execute("SET session_replication_role = origin")
            except psycopg.errors.NotNullViolation:
                # A column of before the rule, which an older process would not know to fill.
                table.insert = Table.of(connection, table.name).insert
            table.waits_ms.append((time.time(), 1000 * (time.monotonic() - began)))


def read_until(dsn: str, tables: Sequence[Table], over: threading.Event) -> None:
    """Hold all tables as a reader does, for a second at a time."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        while not over.is_set():
            with connection.transaction():
                for table in tables:
                    connection.execute(
                        sql.SQL("SELECT 1 FROM {} LIMIT 0").format(sql.Identifier(table.name))
                    )
                connection.execute("SELECT pg_sleep(%s)", [READ_S])
            over.wait(READ_S)


@contextmanager
def traffic(dsn: str, tables: Sequence[Table], failures: list[Failure]) -> Iterator[None]:
    over = threading.Event()
    threads = [
        threading.Thread(target=write_until, args=(dsn, table, over, failures)) for table in tables
    ]
    threads.append(threading.Thread(target=read_until, args=(dsn, tables, over)))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def python(dsn: str, *arguments: str) -> None:
    environment = {
        **os.environ,
        "DATABASE_URL": dsn,
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


class Span(NamedTuple):
    """When a migration was under way, by the clock."""

    name: str
    start: float
    end: float


def spans_since(dsn: str, began: float) -> list[Span]:
    with psycopg.connect(dsn) as connection:
        applied = connection.execute(
            "SELECT app || '.' || name, extract(epoch FROM applied)::float8 "
            "FROM django_migrations WHERE applied > to_timestamp(%s) ORDER BY applied, id",
            [began],
        ).fetchall()
    starts = [began, *(end for _, end in applied)]
    return [Span(name, start, end) for (name, end), start in zip(applied, starts, strict=False)]


def migrate_under_traffic(rows: int, names: Collection[str], *beyond_base: str) -> dict[str, float]:
    """The longest that one write to these tables took during each migration after the base and
    those `beyond_base`, in milliseconds."""
    failures: list[Failure] = []
    with own_database("migrated", of="template0") as dsn:
        python(dsn, "-c", BASE, *beyond_base)
        tables = fill(dsn, rows, names)
        with traffic(dsn, tables, failures):
            began = time.time()
            python(dsn, "manage.py", "migrate", "--skip-checks", "--verbosity=0")
        spans = spans_since(dsn, began)
    assert all(len(table.waits_ms) > 10 for table in tables)
    assert failures == []
    return {
        span.name: max(
            (ms for table in tables for at, ms in table.waits_ms if span.start <= at <= span.end),
            default=0.0,
        )
        for span in spans
    }


@pytest.mark.slow
def test_requests_wait_no_longer_than_a_migration_does(
    record_property: Callable[[str, object], None],
) -> None:
    later = later_migrations()
    if not later:
        pytest.skip(reason="no migration has followed the squashed ones, 2026-11-25")
    worst = migrate_under_traffic(ROWS, LARGE.values())
    record_property("longest_write_ms", worst)
    assert set(worst) >= {f"{room}.{name}" for room, name in later}


@pytest.mark.slow
def test_requests_wait_for_no_migration_of_the_content_log(
    record_property: Callable[[str, object], None],
) -> None:
    worst = migrate_under_traffic(ROWS, ["content_entry"], f"content.{CONTENT_LOG}")
    record_property("longest_write_ms", worst)
    assert set(worst) >= {f"{room}.{name}" for room, name in content_migrations()}
