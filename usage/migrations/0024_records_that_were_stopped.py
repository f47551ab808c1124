"""Requests that their client stopped are found without a look at all others: no sum tells of them.

Few are, and only they are in the index. Each month's is built beside those who write, and only then
joined to that of the table.
"""

from django.db import connection, migrations

_MONTHS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass"
_STATE = """
    SELECT indisvalid, EXISTS (SELECT FROM pg_inherits WHERE inhrelid = indexrelid)
    FROM pg_index WHERE indexrelid = to_regclass(%s)"""
_COLUMNS = "(organisation_id, id DESC) WHERE final AND status = 499"


def build(apps: object, schema_editor: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_MONTHS, ["usage_usagerecord"])
        months = [name for (name,) in cursor.fetchall()]
        cursor.execute(
            f"CREATE INDEX IF NOT EXISTS record_by_stop ON ONLY usage_usagerecord {_COLUMNS}"
        )
        for month in months:
            own = f"{month}_by_stop"
            cursor.execute(_STATE, [own])
            valid, joined = cursor.fetchone() or (None, False)
            if valid is False:  # left by a build that was cut off
                cursor.execute(f"DROP INDEX CONCURRENTLY {own}")
            if not valid:
                cursor.execute(f"CREATE INDEX CONCURRENTLY {own} ON {month} {_COLUMNS}")
            if not joined:
                cursor.execute(f"ALTER INDEX record_by_stop ATTACH PARTITION {own}")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("usage", "0023_levels_of_rollups")]

    operations = [
        migrations.RunPython(build, migrations.RunPython.noop),
        migrations.RunSQL(migrations.RunSQL.noop, "DROP INDEX record_by_stop"),
    ]
