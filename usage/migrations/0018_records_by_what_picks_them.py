"""Requests of one model, key or person are found without a look at all others.

Each month's index is built beside those who write, and only then joined to that of the table. The
log's own index goes: the primary key says the same, read from its end.
"""

from django.db import connection, migrations

_INDEXES = {"model": "model", "key": "key_id", "person": "user_id"}
_MONTHS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass"
_STATE = """
    SELECT indisvalid, EXISTS (SELECT FROM pg_inherits WHERE inhrelid = indexrelid)
    FROM pg_index WHERE indexrelid = to_regclass(%s)"""


def build(apps: object, schema_editor: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_MONTHS, ["usage_usagerecord"])
        months = [name for (name,) in cursor.fetchall()]
        for name, column in _INDEXES.items():
            index = f"record_by_{name}"
            columns = f"(organisation_id, {column}, id DESC) WHERE final"
            cursor.execute(
                f"CREATE INDEX IF NOT EXISTS {index} ON ONLY usage_usagerecord {columns}"
            )
            for month in months:
                own = f"{month}_by_{name}"
                cursor.execute(_STATE, [own])
                valid, joined = cursor.fetchone() or (None, False)
                if valid is False:  # left by a build that was cut off
                    cursor.execute(f"DROP INDEX CONCURRENTLY {own}")
                if not valid:
                    cursor.execute(f"CREATE INDEX CONCURRENTLY {own} ON {month} {columns}")
                if not joined:
                    cursor.execute(f"ALTER INDEX {index} ATTACH PARTITION {own}")


def drop(apps: object, schema_editor: object) -> None:
    with connection.cursor() as cursor:
        for name in _INDEXES:
            cursor.execute(f"DROP INDEX record_by_{name}")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("usage", "0017_validate_only_the_end_is_charged")]

    operations = [
        migrations.RunPython(build, drop),
        migrations.RunSQL(
            "DROP INDEX record_log",
            "CREATE INDEX record_log ON usage_usagerecord (organisation_id, id DESC) WHERE final",
        ),
    ]
