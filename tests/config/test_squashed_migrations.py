"""An installation of before the migrations were squashed, one for each room, goes on without
change; one that lacks a part of them is refused."""

import subprocess
import sys
from os import environ
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from lib.database.code_migrations import half_applied, newer_migrations
from lib.database.postgres_tools import find_tool, login_of
from stack.database import prepare
from tests.runner.databases import ROOT, own_database

# What a database had recorded that was migrated by the last commit of before.
BEFORE = [
    (room, name)
    for room, _, name in (
        line.partition(".")
        for line in (Path(__file__).parent / "before_squash.txt").read_text().split()
    )
]
MISSING = ("billing", "0052_plan_multipliers")
MIGRATE = """
import django
django.setup()
from django.core.management import call_command
from lib.database.code_migrations import half_applied, is_applied, newer_migrations
print(is_applied(), newer_migrations(), [half_applied()])
call_command("migrate", skip_checks=True, verbosity=0)
print(is_applied(), newer_migrations(), [half_applied()])
"""


def migrate(dsn: str) -> list[str]:
    """Migrate a database; its state before and afterwards."""
    # The tests' databases are migrated without the queue's tables.
    settings = {"DATABASE_URL": dsn, "BROKER_URL": "memory://"}
    settings["DJANGO_SETTINGS_MODULE"] = "config.settings"
    return subprocess.run(
        [sys.executable, "-c", MIGRATE],
        cwd=ROOT,
        env={**environ, **settings},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()


def dump(dsn: str) -> list[str]:
    """All that the database holds, but for what is recorded of migrations."""
    with psycopg.connect(dsn) as session:
        tool = find_tool("pg_dump", 18, login_of(session))
    command = [tool.path, "--inserts", "--exclude-table-data=django_migrations", dsn]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # Each dump is given a key, and recording takes numbers of a sequence.
    varying = ("restrict", "django_migrations_id_seq")
    lines = [line for line in text.splitlines() if not any(word in line for word in varying)]
    assert len(lines) > 10_000
    return lines


def newest_of(migrations: list[tuple[str, str]]) -> dict[str, str]:
    """The last one of each room."""
    return dict(sorted(migrations))


def test_squashed_migrations_replace_all_earlier_ones() -> None:
    loader = MigrationLoader(None, ignore_no_migrations=True)
    replaced = [of for squashed in loader.replacements.values() for of in squashed.replaces]
    assert len(replaced) == len(set(replaced))
    assert set(replaced) <= set(BEFORE)
    assert newest_of(replaced) == newest_of(BEFORE)


def test_earlier_database_migrates_without_change() -> None:
    loader = MigrationLoader(None, ignore_no_migrations=True)
    # Those that came after the squashed ones stay applied.
    later = loader.disk_migrations.keys() - loader.replacements.keys() - set(BEFORE)
    with own_database("before") as dsn:
        with psycopg.connect(dsn) as session:
            session.execute(
                "DELETE FROM django_migrations WHERE app = ANY (%s) AND NOT name = ANY (%s)",
                [sorted({room for room, _ in BEFORE}), sorted(name for _, name in later)],
            )
            session.cursor().executemany(
                "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, now())", BEFORE
            )
        before = dump(dsn)
        assert migrate(dsn) == ["False [] ['']", "True [] ['']"]
        assert dump(dsn) == before


@pytest.fixture
def half(db: None) -> None:
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied(*MISSING)
    recorder.record_unapplied("billing", "0001_squashed_0053_safeguards")


def test_incomplete_database_is_rejected(half: None) -> None:
    """With what to do first; nothing is applied."""
    before = MigrationRecorder(connection).applied_migrations().keys()
    words = r"billing.*0052_plan_multipliers is missing.*Update to the commit 884c6a29 first"
    with pytest.raises(CommandError, match=words):
        call_command("migrate", verbosity=0)
    with pytest.raises(SystemExit, match=words):
        prepare.update_tables()
    assert MigrationRecorder(connection).applied_migrations().keys() == before
    assert newer_migrations() == []


def test_killed_first_migration_resumes(db: None) -> None:
    """It has recorded all of some rooms, and nothing of the others."""
    MigrationRecorder(connection).migration_qs.filter(app="usage").delete()
    assert half_applied() == ""
