"""Databases for tests: copies of one that is migrated once in a run, by whoever asks first."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

ROOT = Path(__file__).parents[1]
# The variable that names the run's migrated database, see tests/postgres.py.
TEMPLATE = "WEIR_TEST_TEMPLATE"


def admin() -> "psycopg.Connection[tuple[object, ...]]":
    """A connection to the test Postgres from which databases are made and dropped."""
    return psycopg.connect(os.environ["DATABASE_URL"], dbname="postgres", autocommit=True)


def template() -> str:
    """The name of the migrated database of this run; the workers of a parallel run share it."""
    name = os.environ[TEMPLATE]
    with admin() as connection:
        connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [name])
        made = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name])
        if made.fetchone() is None:
            fresh = f"{name}_fresh"
            connection.execute(f'DROP DATABASE IF EXISTS "{fresh}"'.encode())
            connection.execute(f'CREATE DATABASE "{fresh}" TEMPLATE template0'.encode())
            _migrate(address(fresh))
            connection.execute(f'ALTER DATABASE "{fresh}" RENAME TO "{name}"'.encode())
    return name


def address(name: str) -> str:
    """The address of a database on the test Postgres."""
    return make_conninfo(os.environ["DATABASE_URL"], dbname=name)


def _migrate(dsn: str) -> None:
    command = [sys.executable, "manage.py", "migrate", "--verbosity=0", "--skip-checks"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "DATABASE_URL": dsn}, check=True)


@contextmanager
def own_database(word: str, *, of: str | None = None) -> Iterator[str]:
    """A database for the length of the block, migrated unless it is made `of` another one; its
    address. The word is for who looks at the server meanwhile."""
    name = f"{word}_{os.getpid()}_{secrets.token_hex(3)}"
    source = of or template()
    with admin() as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}"'.encode())
    try:
        yield address(name)
    finally:
        drop_database(name)


def drop_database(name: str) -> None:
    with admin() as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
