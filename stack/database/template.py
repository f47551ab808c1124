"""The empty database as one SQL file, written when the wheel is built. A new installation loads it
instead of running every migration.

    python -m stack.database.template FILE

The months' partitions are left out: a new installation creates those of its own time.
"""

import gzip
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psycopg

from stack.database import postgres
from stack.origin import ROOT

FILE = ROOT / "stack" / "empty.sql.gz"
# The dump must not depend on time, place or user.
_APPLIED_AT = "UPDATE django_migrations SET applied = '2000-01-01T00:00:00Z'"
_MONTHS = r"""
    SELECT c.oid::regclass::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE c.relname ~ '_[0-9]{4}_[0-9]{2}$' ORDER BY 1
"""
_IS_EMPTY = "SELECT to_regclass('django_migrations') IS NULL AND to_regnamespace('pgmq') IS NULL"
# Commands of psql, and the login of the user who dumped.
_NOT_SQL = re.compile(r"(?m)^\\.*\n| FOR ROLE \w+(?= IN SCHEMA)")


def write(target: Path) -> None:
    """Migrate a temporary database, and write its dump."""
    # Postgres refuses long socket paths, so the folder is not below the target.
    with tempfile.TemporaryDirectory() as folder:
        with postgres.server(Path(folder) / "postgres") as dsn:
            fill(dsn)
            text = dump(postgres.locate(Path(folder) / "postgres"))
        with target.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
            packed.write(text.encode())


def fill(dsn: str) -> None:
    command = [sys.executable, "manage.py", "migrate", "--verbosity=0", "--skip-checks"]
    # Without a broker, the queue's tables are among them. Content types and permissions are created
    # in the order of a set.
    own = {"DATABASE_URL": dsn, "BROKER_URL": "", "PYTHONHASHSEED": "0"}
    files = {f"{name}_FILE" for name in own}
    inherited = {name: value for name, value in os.environ.items() if name not in files}
    environment = {**inherited, **own}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    with psycopg.connect(dsn) as connection:
        connection.execute(_APPLIED_AT)
        drop_months(connection)


def drop_months(connection: "psycopg.Connection[tuple[Any, ...]]") -> list[str]:
    """Drop the partitions of months and return their names."""
    names = [name for (name,) in connection.execute(_MONTHS).fetchall()]
    for name in names:
        connection.execute(f"DROP TABLE {name}".encode())
    return names


def dump(cluster: postgres.Cluster) -> str:
    program = [str(cluster.programs / "pg_dump"), "--no-owner", "--inserts"]
    done = subprocess.run(
        [*program, "--rows-per-insert=500", cluster.dsn], capture_output=True, text=True, check=True
    )
    return _NOT_SQL.sub("", done.stdout)


def load(dsn: str) -> bool:
    """Load the file into an empty database of the same Postgres version, in one transaction. Return
    whether it was loaded.
    """
    if not FILE.exists():
        return False
    with psycopg.connect(dsn) as connection:
        same = connection.info.server_version // 10_000 == int(postgres.MAJOR)
        if not same or connection.execute(_IS_EMPTY).fetchone() != (True,):
            return False
        connection.execute(gzip.decompress(FILE.read_bytes()))
    return True


if __name__ == "__main__":
    write(Path(sys.argv[1]))
