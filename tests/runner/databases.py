"""Databases for tests: copies of one that is migrated once in a run, by whoever asks first."""

import atexit
import os
import secrets
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psycopg
import pytest
from django import db
from django.conf import settings
from psycopg.conninfo import make_conninfo

ROOT = Path(__file__).parents[2]
# The variable that names the run's migrated database, see tests/runner/postgres.py.
TEMPLATE = "WEIR_TEST_TEMPLATE"
MADE_BY_MIGRATING = {"django_content_type", "auth_permission"}
_GROWN_BYTES = 64 * 1024
# What migrates the template. Forked workers inherit it, and Python warns of one that is collected
# while it runs.
_begun: list["subprocess.Popen[bytes]"] = []
_SESSIONS = """
    SELECT pid, concat_ws(
        ', ', application_name, state, 'since', state_change::time(0), 'began',
        backend_start::time(0), left(query, 300)
    )
    FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'
"""


def admin() -> "psycopg.Connection[tuple[object, ...]]":
    """A connection to the test Postgres from which databases are made and dropped."""
    return psycopg.connect(os.environ["DATABASE_URL"], dbname="postgres", autocommit=True)


def template() -> str:
    """The name of the migrated database of this run; the workers of a parallel run share it."""
    name = os.environ[TEMPLATE]
    with admin() as connection:
        connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [name])
        cursor = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name])
        if cursor.fetchone() is None:
            fresh = f"{name}_fresh"
            connection.execute(f'DROP DATABASE IF EXISTS "{fresh}"'.encode())
            connection.execute(f'CREATE DATABASE "{fresh}" TEMPLATE template0'.encode())
            _migrate(address(fresh))
            connection.execute(f'ALTER DATABASE "{fresh}" RENAME TO "{name}"'.encode())
    return name


def begin_template() -> subprocess.Popen[bytes]:
    """Begin to migrate it beside what this process does; whoever needs it waits for it."""
    command = [sys.executable, "-c", f"from {__name__} import template; template()"]
    # Whoever needs it fails with the reason, where it cannot be migrated.
    migrating = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    _begun.append(migrating)
    atexit.register(migrating.wait)
    atexit.register(migrating.terminate)
    return migrating


def address(name: str) -> str:
    """The address of a database on the test Postgres."""
    return make_conninfo(os.environ["DATABASE_URL"], dbname=name)


def _migrate(dsn: str) -> None:
    command = [sys.executable, "manage.py", "migrate", "--verbosity=0", "--skip-checks"]
    # Who uses the queue makes it: few tests do, and each database would be larger by it.
    own = {"DATABASE_URL": dsn, "BROKER_URL": "memory://"}
    subprocess.run(command, cwd=ROOT, env={**os.environ, **own}, check=True)


@contextmanager
def own_database(word: str, *, of: str | None = None) -> Iterator[str]:
    """A database for the length of the block, migrated unless it is made `of` another one; its
    address. The word is for who looks at the server meanwhile."""
    name = f"{word}_{os.getpid()}_{secrets.token_hex(3)}"
    source = of or template()
    with admin() as connection:
        # Files that are copied cost a tenth of pages that go through the log one by one.
        connection.execute(
            f'CREATE DATABASE "{name}" TEMPLATE "{source}" STRATEGY file_copy'.encode()
        )
    try:
        yield address(name)
    finally:
        drop_database(name)


def empty() -> None:
    """Take away what a test that commits has left in Django's database; to be called where Django
    would flush, which costs thirty times more: it truncates tables that are empty, and makes the
    content types and permissions again. Like it, it waits for who is still writing, and no trigger
    forbids it. What has grown is truncated: nobody vacuums here, and a table of dead rows is read
    through for every row that is joined to it. The next test uses the same session, with none of
    the settings of this one."""
    with db.connection.cursor() as cursor:
        cursor.execute(_emptying())


@cache
def _emptying() -> str:
    names = db.connection.introspection.django_table_names(only_existing=True)
    # No model has the cache: what it counts by address would be counted on in a later test.
    names += [one["LOCATION"] for one in settings.CACHES.values()]
    tables = [f'"{name}"' for name in sorted(set(names) - MADE_BY_MIGRATING)]
    # What has no page has no row. The pages of a partitioned table are those of its partitions.
    return f"""
        RESET lock_timeout;
        RESET plan_cache_mode;
        RESET session_replication_role;
        DO $$ DECLARE filled regclass; has_grown boolean;
        BEGIN
            SET LOCAL session_replication_role = replica;
            LOCK TABLE {", ".join(tables)};
            FOR filled, has_grown IN
                SELECT oid, pg_relation_size(oid) > {_GROWN_BYTES} FROM pg_class
                WHERE oid = ANY ('{{{",".join(tables)}}}'::regclass[])
                  AND (relkind = 'p' OR pg_relation_size(oid) > 0)
            LOOP
                IF has_grown THEN
                    EXECUTE format('TRUNCATE %s CASCADE', filled);
                ELSE
                    EXECUTE format('DELETE FROM %s', filled);
                END IF;
            END LOOP;
        END $$"""


def drop_database(name: str) -> None:
    with admin() as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


def run_until(job: Callable[[], object], holds: Callable[[], bool]) -> None:
    """Run what waits for open transactions of its database until something holds. One of another
    database that ends while it is looked up is of nobody known, and waited for until the next
    run."""
    for _ in range(1_000):
        job()
        if holds():
            return
    raise AssertionError("a transaction of another database is waited for")


def end_sessions(config: pytest.Config, name: str) -> None:
    """End the sessions that tests have left open in a database, so that it can be dropped. The run
    warns of each, and says what it did last."""
    with admin() as connection:
        rows = connection.execute(_SESSIONS, [name]).fetchall()
        for pid, _ in rows:
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    for _, text in rows:
        warning = UserWarning(f"a test left a database session open: {text}")
        config.hook.pytest_warning_recorded.call_historic(
            kwargs={
                "warning_message": warnings.WarningMessage(warning, UserWarning, "", 0),
                "when": "runtest", "nodeid": "", "location": None,
            }
        )  # fmt: skip
