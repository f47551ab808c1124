"""An index of the records that name an end user. It is built for one month after the other without
a lock, because writers of records must not wait for it."""

from typing import Any

from django.db import connection, migrations

_COLUMNS = "(organisation_id, end_user, id) WHERE final AND end_user <> ''"
# The partitions without it. A partition that is made in the meantime has it from its parent.
_MISSING = """
    SELECT part.relname FROM pg_inherits JOIN pg_class part ON part.oid = inhrelid
    WHERE inhparent = 'usage_usagerecord'::regclass AND NOT EXISTS (
        SELECT FROM pg_inherits attached JOIN pg_index own ON own.indexrelid = attached.inhrelid
        WHERE attached.inhparent = 'record_by_end_user'::regclass AND own.indrelid = part.oid)
    ORDER BY part.relname"""


def build(apps: Any, schema_editor: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE INDEX IF NOT EXISTS record_by_end_user ON ONLY usage_usagerecord " + _COLUMNS
        )
        cursor.execute(_MISSING)
        for (part,) in cursor.fetchall():
            index = f"{part}_end_user"
            # What an interrupted migration left is not valid.
            cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
            cursor.execute(f"CREATE INDEX CONCURRENTLY {index} ON {part} {_COLUMNS}")
            cursor.execute(f"ALTER INDEX record_by_end_user ATTACH PARTITION {index}")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("usage", "0074_answer_cache")]

    operations = [migrations.RunPython(build, migrations.RunPython.noop)]
