"""The wheel's empty database is the one that the migrations make."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from lib.database.postgres_tools import find_tool, login_of
from stack.database import template
from stack.origin import ROOT
from tests.runner.databases import own_database

# As a start does: the file is where the wheel has it.
LOAD = """
import sys
from pathlib import Path
import django
from stack.database import prepare, template
django.setup()
template.FILE = Path(sys.argv[1])
prepare.load_template(sys.argv[2])
from lib.database.code_migrations import is_applied, newer_migrations
print(is_applied(), newer_migrations())
"""
TABLES = """
    SELECT table_name FROM information_schema.tables
    WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
"""
# Numbers that depend on the order of a set, or on what else the server did, and times of a run.
OWN = {"id", "content_type_id", "applied", "snapshot"}


def load(file: Path, dsn: str) -> str:
    environment = {**os.environ, "DATABASE_URL": dsn, "DJANGO_SETTINGS_MODULE": "config.settings"}
    command = [sys.executable, "-c", LOAD, str(file), dsn]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def schema(dsn: str) -> str:
    with psycopg.connect(dsn) as connection:
        tool = find_tool("pg_dump", 18, login_of(connection))
    command = [tool.path, "--schema-only", "--schema=public", dsn]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    text = re.sub(r"(?m)^\\.*\n", "", done.stdout)
    # Postgres writes a cast of a list's entries as one of the list, after it has read it again.
    return re.sub(r"::(character varying|text)(\[\])?|[()]", "", text)


def without_months(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        return template.drop_months(connection)


def rows(dsn: str) -> dict[str, list[str]]:
    result = {}
    with psycopg.connect(dsn) as connection:
        for (table,) in connection.execute(TABLES).fetchall():
            cursor = connection.cursor(row_factory=dict_row)
            cursor.execute(f"SELECT * FROM {table}".encode())
            result[table] = sorted(
                str([(name, value) for name, value in row.items() if name not in OWN])
                for row in cursor
            )
    return result


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    result = tmp_path_factory.mktemp("template") / template.FILE.name
    template.write(result)
    return result


def test_a_loaded_database_is_a_migrated_one(file: Path) -> None:
    with own_database("migrated") as migrated, own_database("loaded", of="template0") as loaded:
        assert load(file, loaded) == "True []"
        # Their indexes have other names where one was added to a partition that existed.
        assert without_months(loaded) == without_months(migrated) != []
        assert schema(loaded) == schema(migrated)
        assert rows(loaded) == rows(migrated)


def test_nonempty_database_is_left_alone(file: Path) -> None:
    with own_database("migrated") as migrated:
        with psycopg.connect(migrated) as connection:
            connection.execute("DELETE FROM django_migrations WHERE app = 'usage'")
        before = rows(migrated)
        assert load(file, migrated) == "False []"
        assert rows(migrated) == before
