"""Convert a plain table to one partitioned by its ids, without blocking writes. For migrations that
are not atomic.

The existing rows become the first partition, `{table}_before`: they are neither rewritten nor read
under a lock. A CHECK that is validated without a lock states that all of them are before an edge,
which no new id reaches for weeks; with it, the conversion itself is one short transaction.
Statements of running processes find the new table under the same name, with the same columns.
"""

import contextlib
import datetime as dt
from typing import Any, Final
from uuid import UUID

from django.db import Error, connection, transaction

from lib import clock
from lib.ids import first_id_at

# An interrupted migration leaves the CHECK in place. It must not reject writes until the migration
# is run again.
_AHEAD: Final = dt.timedelta(days=14)


def split_by_month(table: str) -> None:
    """Partition a table by `id`, its primary key. Does nothing if it is partitioned already. The
    table then has a default partition, `{table}_other`, and no monthly ones yet. A table without
    rows has no first partition either.
    """
    with connection.cursor() as cursor:
        if _is_split(cursor, table) or _swap_empty(cursor, table):
            return
        check = f"{table}_lies_before"
        edge = first_id_at(_edge())
        cursor.execute(_ADD_CHECK.format(table=table, check=check, edge=edge))
        try:
            cursor.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {check}")
            with transaction.atomic():
                _swap(cursor, table)
                cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {check}")
                cursor.execute(_ATTACH.format(table=table, edge=edge))
                cursor.execute(f"ALTER TABLE {table}_before DROP CONSTRAINT {check}")
        except Error:
            with contextlib.suppress(Error):
                cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {check}")
            raise


def end_of_first(table: str) -> UUID | None:
    """Return the id at which the first partition ends, or None."""
    with connection.cursor() as cursor:
        cursor.execute(_END_OF_FIRST, [f"{table}_before"])
        row = cursor.fetchone()
    return row[0] if row else None


def _edge() -> dt.datetime:
    """Return the start of the next month that is far enough away."""
    first = (clock.now() + _AHEAD).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + dt.timedelta(days=32)).replace(day=1)


def _is_split(cursor: Any, table: str) -> bool:
    cursor.execute("SELECT relkind = 'p' FROM pg_class WHERE oid = %s::regclass", [table])
    return bool(cursor.fetchone()[0])


def _swap_empty(cursor: Any, table: str) -> bool:
    """Replace an empty table; return False if it has a row."""
    if _has_rows(cursor, table):
        return False
    with transaction.atomic():
        cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        if _has_rows(cursor, table):
            return False
        _swap(cursor, table)
        cursor.execute(f"DROP TABLE {table}_before")
    return True


def _has_rows(cursor: Any, table: str) -> bool:
    cursor.execute(f"SELECT EXISTS (SELECT FROM {table})")  # noqa: S608 - a migration's own word
    return bool(cursor.fetchone()[0])


def _swap(cursor: Any, table: str) -> None:
    """Replace a plain table, which is renamed, by a partitioned one with its columns, constraints,
    indexes, rights and policies.
    """
    before = f"{table}_before"
    cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    cursor.execute(_INDEXES, {"table": table})
    indexes = cursor.fetchall()
    cursor.execute(_POLICIES, {"table": table})
    policies = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f"ALTER INDEX {name} RENAME TO {before}_{name}")
    cursor.execute(f"ALTER INDEX {table}_pkey RENAME TO {before}_pkey")
    cursor.execute(f"ALTER TABLE {table} RENAME TO {before}")
    cursor.execute(
        f"CREATE TABLE {table} (LIKE {before} INCLUDING DEFAULTS INCLUDING CONSTRAINTS, "
        "PRIMARY KEY (id)) PARTITION BY RANGE (id)"
    )
    # Create these before the first partition exists; its own indexes are attached to them.
    for _, definition in indexes:
        cursor.execute(definition)
    cursor.execute(_RIGHTS, {"table": table, "before": before})
    for (grant,) in cursor.fetchall():
        cursor.execute(grant)
    for (policy,) in policies:
        cursor.execute(policy)
    cursor.execute(f"CREATE TABLE {table}_other PARTITION OF {table} DEFAULT")


_ADD_CHECK: Final = """
    ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {check};
    ALTER TABLE {table} ADD CONSTRAINT {check} CHECK (id < '{edge}') NOT VALID"""
_ATTACH: Final = """
    ALTER TABLE {table} ATTACH PARTITION {table}_before
    FOR VALUES FROM (MINVALUE) TO ('{edge}')"""
_END_OF_FIRST: Final = r"""
    SELECT substring(pg_get_expr(relpartbound, oid) FROM 'TO \(''([0-9a-f-]{36})''\)')::uuid
    FROM pg_class WHERE oid = to_regclass(%s) AND relispartition"""
_INDEXES: Final = """
    SELECT relname, pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class ON oid = indexrelid
    WHERE indrelid = %(table)s::regclass AND NOT indisprimary ORDER BY relname"""
_RIGHTS: Final = """
    SELECT format('GRANT %%s ON %%I TO %%s', a.privilege_type, %(table)s::text,
                  CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END)
    FROM pg_class c, aclexplode(c.relacl) a
    WHERE c.oid = %(before)s::regclass AND a.grantee <> c.relowner"""
# Read this before the table is renamed, because the definitions contain its name.
_POLICIES: Final = """
    SELECT format('ALTER TABLE %%I ENABLE ROW LEVEL SECURITY', relname) FROM pg_class
    WHERE oid = %(table)s::regclass AND relrowsecurity
    UNION ALL
    SELECT concat(
        format('CREATE POLICY %%I ON %%I FOR %%s TO %%s', p.polname, %(table)s::text,
            CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
            (SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC' ELSE role::regrole::text END, ', ')
             FROM unnest(p.polroles) AS role)),
        ' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
        ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')',
        format('; COMMENT ON POLICY %%I ON %%I IS %%L', p.polname, %(table)s::text,
            obj_description(p.oid, 'pg_policy')))
    FROM pg_policy p WHERE p.polrelid = %(table)s::regclass"""
