"""Migrations of tables that grow with each request: none rewrites one, reads all of it under a lock
that keeps requests waiting, or changes many rows at once."""

import inspect
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import pytest
from django.contrib.postgres.operations import (
    AddConstraintNotValid,
    AddIndexConcurrently,
)
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.models.expressions import Value
from django.db.models.functions import Now

from lib.database.concurrent_indexes import AddIndexAgain
from lib.database.schema import CreateModels
from tests.house.test_style import ROOMS

# room.model -> table: what has a row for each request, message, event or posting.
LARGE = {
    "accounts.auditevent": "accounts_auditevent",
    "billing.hold": "billing_hold",
    "billing.ledgerentry": "billing_ledgerentry",
    "billing.ledgerline": "billing_ledgerline",
    "billing.posting": "billing_posting",
    "content.entry": "content_entry",
    "notify.delivery": "notify_delivery",
    "outbox.fact": "outbox_fact",
    "playground.message": "playground_message",
    "playground.runevent": "playground_runevent",
    "usage.attempt": "usage_attempt",
    "usage.usagerecord": "usage_usagerecord",
    "usage.latetruth": "usage_latetruth",
    "usage.rollup": "usage_rollup",
    "usage.hourrollup": "usage_hourrollup",
    "usage.dayrollup": "usage_dayrollup",
}
_TABLE = "(?:ONLY )?[\"']?(?P<table>[a-z_]+)"
_FUNCTION = r"CREATE (?:OR REPLACE )?FUNCTION .*?\$\$.*?\$\$"
FORBIDDEN_SQL = {
    rf"CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)(?:IF NOT EXISTS )?\w+\s+ON (?!ONLY){_TABLE}": (
        "builds an index while nobody may write: CREATE INDEX CONCURRENTLY, with atomic = False"
    ),
    rf"ALTER TABLE {_TABLE}[^;]*ALTER COLUMN \w+ (?:SET DATA )?TYPE": "rewrites the table",
    rf"ALTER TABLE {_TABLE}[^;]*SET NOT NULL": "reads the table under a lock",
    rf"ALTER TABLE {_TABLE}[^;]*ADD CONSTRAINT(?![^;]*NOT VALID)": (
        "reads the table under a lock: NOT VALID, and VALIDATE CONSTRAINT in a later migration"
    ),
    rf"UPDATE {_TABLE}": "changes rows in one transaction: a job does it in batches",
    rf"DELETE FROM {_TABLE}": "deletes rows in one transaction: a job does it in batches",
    rf"(?:VACUUM FULL|CLUSTER) {_TABLE}": "rewrites the table",
}


def problems_of(room: str, operations: Sequence[Operation]) -> list[str]:
    """What operations do to large tables that they did not make themselves."""
    return list(_problems(room, operations, set()))


def _problems(room: str, operations: Sequence[Operation], fresh: set[str]) -> Iterator[str]:
    for operation in operations:
        if isinstance(operation, CreateModels):
            fresh |= {f"{room}.{model.name_lower}" for model in operation.models}
        elif isinstance(operation, migrations.CreateModel):
            fresh.add(f"{room}.{operation.name_lower}")
        elif isinstance(operation, migrations.SeparateDatabaseAndState):
            yield from _problems(room, operation.database_operations, fresh)
        elif isinstance(operation, AddIndexAgain):
            continue
        elif isinstance(operation, AddIndexConcurrently):
            # Whatever the size of the table: the command tries a migration many times.
            yield "AddIndexConcurrently cannot run again after an interruption: AddIndexAgain"
        elif isinstance(operation, migrations.RunSQL):
            yield from _of_sql(_sql_of(operation.sql), fresh)
        elif isinstance(operation, migrations.RunPython):
            yield from _of_sql(inspect.getsource(operation.code), fresh)
        else:
            model = f"{room}.{_model_of(operation)}"
            if model in LARGE and model not in fresh:
                yield from (f"{model}: {text}" for text in _of_operation(operation))


def _model_of(operation: Operation) -> str:
    return str(getattr(operation, "model_name", "")).lower()


def _of_operation(operation: Operation) -> Iterator[str]:
    if isinstance(operation, AddConstraintNotValid):
        return
    if isinstance(operation, migrations.AddIndex):
        yield "AddIndex lets nobody write: AddIndexAgain, with atomic = False"
    elif isinstance(operation, migrations.AddConstraint):
        yield "AddConstraint reads the table under a lock: AddConstraintNotValid, then validate"
    elif isinstance(operation, migrations.AlterField):
        yield "AlterField may rewrite the table: add a column, fill it in batches"
    elif isinstance(operation, migrations.AddField):
        yield from _of_field(operation.field)


def _of_field(field: Any) -> Iterator[str]:
    if isinstance(field, models.GeneratedField):
        yield "a generated column rewrites the table"
    default = field.db_default
    if isinstance(default, models.Expression) and not isinstance(default, Value | Now):
        yield "a default of its own for each row rewrites the table"
    indexed = field.db_index or field.unique
    if field.many_to_one or field.one_to_one:
        indexed = field.db_index
        if field.db_constraint:
            yield "a foreign key is checked under a lock: db_constraint=False"
    if indexed:
        yield "its index is built while nobody may write: AddIndexAgain"


def _sql_of(sql: Any) -> str:
    return sql if isinstance(sql, str) else "; ".join(str(one) for one in sql)


def _of_sql(text: str, fresh: set[str]) -> Iterator[str]:
    tables = {table for model, table in LARGE.items() if model not in fresh}
    # What a function does is done when it is called.
    text = re.sub(_FUNCTION, "", " ".join(text.split()))
    for pattern, why in FORBIDDEN_SQL.items():
        for one_result in re.finditer(pattern, text):
            if one_result["table"] in tables:
                yield f"{one_result['table']}: {why}"


@cache
def find_faults() -> dict[str, list[str]]:
    """What each migration of ours does that it must not."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    return {
        f"{room}.{name}": problems
        for (room, name), migration in sorted(loader.disk_migrations.items())
        if room in ROOMS
        and not migration.replaces
        and (problems := problems_of(room, migration.operations))
    }


@pytest.mark.django_db
def test_every_partitioned_table_is_a_large_one() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'p'")
        partitioned = {name for (name,) in cursor.fetchall()}
    assert "content_entry" in partitioned
    assert partitioned <= set(LARGE.values())


def test_no_migration_stops_a_large_table() -> None:
    assert find_faults() == {}


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (migrations.AddIndex("usagerecord", models.Index(fields=["id"], name="i")), "nobody write"),
        (
            migrations.AddConstraint(
                "usagerecord", models.CheckConstraint(condition=models.Q(id=1), name="c")
            ),
            "under a lock",
        ),
        (migrations.AlterField("usagerecord", "kind", models.TextField()), "rewrite"),
        (migrations.AddField("usagerecord", "n", models.IntegerField(db_index=True)), "index"),
        (
            migrations.AddField(
                "usagerecord",
                "n",
                models.UUIDField(db_default=models.Func(function="gen_random_uuid")),
            ),
            "rewrites",
        ),
        (
            migrations.AddField(
                "usagerecord", "o", models.ForeignKey("accounts.Team", models.CASCADE)
            ),
            "foreign key",
        ),
        (
            AddIndexConcurrently("jobrun", models.Index(fields=["id"], name="i")),
            "cannot run again",
        ),
        (migrations.RunSQL("CREATE INDEX i\n  ON usage_usagerecord (id)"), "CONCURRENTLY"),
        (migrations.RunSQL("ALTER TABLE usage_attempt ALTER COLUMN a TYPE text"), "rewrites"),
        (migrations.RunSQL("ALTER TABLE usage_attempt ALTER a SET NOT NULL"), "under a lock"),
        (migrations.RunSQL("ALTER TABLE billing_hold ADD CONSTRAINT c CHECK (true)"), "NOT VALID"),
        (migrations.RunSQL(["UPDATE billing_hold SET a = 1"]), "batches"),
        (migrations.RunSQL("DELETE FROM outbox_fact WHERE true"), "batches"),
        (migrations.RunSQL("DO $$ BEGIN UPDATE billing_hold SET a = 1; END $$"), "batches"),
    ],
)
def test_locking_operation_is_found(operation: Operation, why: str) -> None:
    (problem,) = problems_of("usage", [operation])[:1]
    assert why in problem


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField("usagerecord", "n", models.IntegerField(null=True)),
        migrations.AddField("usagerecord", "n", models.IntegerField(db_default=0)),
        migrations.AddField("usagerecord", "n", models.DateTimeField(db_default=Now())),
        AddIndexAgain("usagerecord", models.Index(fields=["id"], name="i")),
        AddConstraintNotValid(
            "usagerecord", models.CheckConstraint(condition=models.Q(id=1), name="c")
        ),
        migrations.AddIndex("jobrun", models.Index(fields=["id"], name="i")),
        migrations.RunSQL("CREATE INDEX CONCURRENTLY i ON usage_usagerecord (id)"),
        migrations.RunSQL("CREATE INDEX i ON ONLY usage_usagerecord (id)"),
        migrations.RunSQL(
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "UPDATE billing_hold SET a = 1 WHERE id = NEW.id; RETURN NULL; END $$"
        ),
        migrations.RunSQL("ALTER TABLE usage_attempt ADD CONSTRAINT c CHECK (true) NOT VALID"),
    ],
)
def test_harmless_operation_is_allowed(operation: Operation) -> None:
    assert problems_of("usage", [operation]) == []


def test_new_table_of_a_migration_may_be_locked() -> None:
    create_model = migrations.CreateModel(
        "UsageRecord", [("id", models.IntegerField(primary_key=True))]
    )
    index = migrations.AddIndex("usagerecord", models.Index(fields=["id"], name="i"))
    assert problems_of("usage", [create_model, index]) == []
