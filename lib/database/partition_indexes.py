"""Index a partitioned table without blocking writes: each partition's index is built concurrently,
and then attached to the table's. For migrations that are not atomic.
"""

from typing import Final

from django.db import connection

_PARTITIONS: Final = (
    "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass"
)
_STATE: Final = """
    SELECT indisvalid, EXISTS (SELECT FROM pg_inherits WHERE inhrelid = indexrelid)
    FROM pg_index WHERE indexrelid = to_regclass(%s)"""


def build_index(table: str, name: str, indexed: str) -> None:
    """Build the index, or finish a build that was interrupted. `indexed` is the SQL after the
    table's name: columns and condition."""
    with connection.cursor() as cursor:
        cursor.execute(_PARTITIONS, [table])
        partitions = [partition for (partition,) in cursor.fetchall()]
        cursor.execute(f"CREATE INDEX IF NOT EXISTS {name} ON ONLY {table} {indexed}")
        for partition in partitions:
            own = f"{partition}_{name}"
            cursor.execute(_STATE, [own])
            valid, joined = cursor.fetchone() or (None, False)
            if valid is False:
                cursor.execute(f"DROP INDEX CONCURRENTLY {own}")
            if not valid:
                cursor.execute(f"CREATE INDEX CONCURRENTLY {own} ON {partition} {indexed}")
            if not joined:
                cursor.execute(f"ALTER INDEX {name} ATTACH PARTITION {own}")
