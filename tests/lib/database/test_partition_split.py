"""A table of an installation that serves becomes one of months, with all that hangs on it."""

import datetime as dt
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import IntegrityError, connection

from lib import clock
from lib.database.partition_split import end_of_first, split_by_month
from lib.database.tenancy import ROLE
from lib.ids import first_id_at, new_ids
from usage.records import partitions

pytestmark = pytest.mark.django_db(transaction=True)

LAST = uuid.UUID(int=2**128 - 1)


def run(text: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(text, parameters or None)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def table() -> Iterator[str]:
    run(
        """CREATE TABLE split_example (
            id uuid PRIMARY KEY, nano bigint NOT NULL DEFAULT 7, state text,
            CONSTRAINT not_negative CHECK (nano >= 0));
        CREATE INDEX open_ones ON split_example (nano) WHERE state = 'open';
        CREATE UNIQUE INDEX named_once ON split_example (id, state);"""
        f"GRANT SELECT, INSERT ON split_example TO {ROLE};"
        "CREATE POLICY tenant ON split_example USING (nano > 0) WITH CHECK (nano > 1);"
        "COMMENT ON POLICY tenant ON split_example IS 'it''s';"
        "ALTER TABLE split_example ENABLE ROW LEVEL SECURITY"
    )
    yield "split_example"
    run("DROP TABLE split_example CASCADE")


def hangs_on(table: str) -> list[tuple[Any, ...]]:
    """Columns, constraints, indexes, rights and policies."""
    return [
        *run(
            "SELECT attname, atttypid, attnotnull, pg_get_expr(adbin, adrelid) FROM pg_attribute "
            "LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum "
            "WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum", table),
        *run(
            "SELECT conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint "
            "WHERE conrelid = %s::regclass AND contype <> 'n' ORDER BY conname", table),
        *run(
            "SELECT relname, replace(pg_get_indexdef(indexrelid), ' ONLY ', ' '), indisvalid "
            "FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indrelid = %s::regclass "
            "ORDER BY relname", table),
        *run(
            "SELECT privilege_type, grantee FROM pg_class, aclexplode(relacl) "
            "WHERE oid = %s::regclass ORDER BY 1, 2", table),
        *run(
            "SELECT polname, polcmd::text, polroles::text, pg_get_expr(polqual, polrelid), "
            "pg_get_expr(polwithcheck, polrelid), obj_description(pg_policy.oid, 'pg_policy'), "
            "relrowsecurity FROM pg_policy JOIN pg_class ON pg_class.oid = polrelid "
            "WHERE polrelid = %s::regclass", table),
    ]  # fmt: skip


def lies_in(id: uuid.UUID) -> str:
    ((name,),) = run("SELECT tableoid::regclass::text FROM split_example WHERE id = %s", id)
    return str(name)


def test_existing_rows_become_the_first_partition(table: str) -> None:
    before = hangs_on(table)
    ids = new_ids(3)
    for id in ids:
        run("INSERT INTO split_example (id, state) VALUES (%s, 'open')", id)
    ((file,),) = run("SELECT pg_relation_filenode(%s::regclass)", table)

    split_by_month(table)

    assert hangs_on(table) == before
    # Not one row was written anew, and no index.
    assert run("SELECT pg_relation_filenode('split_example_before')") == [(file,)]
    assert run(
        "SELECT count(*) FROM pg_index WHERE indrelid = 'split_example_before'::regclass "
        "AND EXISTS (SELECT FROM pg_inherits WHERE inhrelid = indexrelid)"
    ) == [(3,)]
    assert {lies_in(id) for id in ids} == {"split_example_before"}
    edge = end_of_first(table)
    assert edge is not None
    assert 14 * 86_400_000 <= (edge.int >> 80) - (ids[0].int >> 80) < 46 * 86_400_000
    for id, name in ((uuid.UUID(int=edge.int - 1), "before"), (edge, "other"), (LAST, "other")):
        run("INSERT INTO split_example (id) VALUES (%s)", id)
        assert lies_in(id) == f"split_example_{name}"
    with pytest.raises(IntegrityError):
        run("INSERT INTO split_example (id) VALUES (%s)", ids[0])

    split_by_month(table)
    assert end_of_first(table) == edge


def test_months_are_made_behind_the_first_partition(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("INSERT INTO split_example (id) VALUES (%s)", *new_ids(1))
    split_by_month(table)
    monkeypatch.setattr(partitions, "PARTITIONED", (table,))
    created = partitions.ensure_partitions(since=clock.now().date() - dt.timedelta(days=90))
    edge = end_of_first(table)
    assert edge is not None
    first = dt.datetime.fromtimestamp((edge.int >> 80) / 1000, dt.UTC)
    assert created[0] == f"split_example_{first:%Y_%m}"
    assert partitions.partitioned_until() is not None
    run("INSERT INTO split_example (id) VALUES (%s)", edge)
    assert lies_in(edge) == created[0]
    assert not partitions.has_rows_outside()


def test_an_empty_table_has_no_first_partition(table: str) -> None:
    before = hangs_on(table)
    split_by_month(table)
    assert hangs_on(table) == before
    assert end_of_first(table) is None
    first = first_id_at(clock.now())
    run("INSERT INTO split_example (id) VALUES (%s)", first)
    assert lies_in(first) == "split_example_other"


def test_unsplittable_table_is_left_unchanged(table: str) -> None:
    """A row of a time to come: no edge lies behind it. Nobody's row is refused afterwards."""
    run("INSERT INTO split_example (id) VALUES (%s)", LAST)
    before = hangs_on(table)
    with pytest.raises(IntegrityError, match="split_example_lies_before"):
        split_by_month(table)
    assert hangs_on(table) == before
    assert run("SELECT relkind::text FROM pg_class WHERE oid = %s::regclass", table) == [("r",)]
