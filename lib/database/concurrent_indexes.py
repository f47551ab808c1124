"""Build indexes without blocking writes. For migrations that are not atomic: each can run again
after an interruption.

While such an index waits for older transactions, it keeps no other statement waiting. So, unlike
other changes of a table, it waits for as long as they last.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import ProgrammingError, connection
from psycopg.errors import UndefinedTable

_IS_VALID: Final = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"
# The partitions without an index of a table.
_MISSING: Final = """
    SELECT part.relname FROM pg_inherits JOIN pg_class part ON part.oid = inhrelid
    WHERE inhparent = %(table)s::regclass AND NOT EXISTS (
        SELECT FROM pg_inherits attached JOIN pg_index own ON own.indexrelid = attached.inhrelid
        WHERE attached.inhparent = %(index)s::regclass AND own.indrelid = part.oid)
    ORDER BY part.relname"""


class AddIndexAgain(AddIndexConcurrently):
    """Django's operation, which can be run again: a complete index stays, and another one, which an
    interrupted run left, is built anew."""

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        with schema_editor.connection.cursor() as cursor, _waiting(cursor):
            cursor.execute(_IS_VALID, [self.index.name])
            state = cursor.fetchone()
            if state == (True,):
                return
            if state:
                cursor.execute(f"DROP INDEX CONCURRENTLY {self.index.name}")
            super().database_forwards(app_label, schema_editor, from_state, to_state)


def build_index(table: str, index: str, columns: str, suffix: str) -> None:
    """Create the index of a partitioned table on `columns`, "(a, b) WHERE c". A partition's own is
    named after the partition, with `suffix`.

    The table's own is empty, and each later partition gets the index from there. The partitions
    that exist get theirs one after the other.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE INDEX IF NOT EXISTS {index} ON ONLY {table} {columns}")
        cursor.execute(_MISSING, {"table": table, "index": index})
        for (part,) in cursor.fetchall():
            own = f"{part}_{suffix}"
            try:
                with _waiting(cursor):
                    # What an interrupted run left is not valid.
                    cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {own}")
                    cursor.execute(f"CREATE INDEX CONCURRENTLY {own} ON {part} {columns}")
                cursor.execute(f"ALTER INDEX {index} ATTACH PARTITION {own}")
            except ProgrammingError as error:
                # A job drops partitions whose time is over.
                if not isinstance(error.__cause__, UndefinedTable):
                    raise


@contextmanager
def _waiting(cursor: Any) -> Iterator[None]:
    """Wait for locks without a limit."""
    cursor.execute("SELECT current_setting('lock_timeout')")
    [limit] = cursor.fetchone()
    cursor.execute("SET lock_timeout = 0")
    try:
        yield
    finally:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [limit])
