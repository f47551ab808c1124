"""Requests of a project or a customer are found without a look at all others: no sum tells of them.

Only requests that have the label are in its index. Each month's is built beside those who write,
and only then joined to that of the table.
"""

from django.db import connection, migrations

_MONTHS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass"
_STATE = """
    SELECT indisvalid, EXISTS (SELECT FROM pg_inherits WHERE inhrelid = indexrelid)
    FROM pg_index WHERE indexrelid = to_regclass(%s)"""
_LABELS = ("project", "customer")


def build(apps: object, schema_editor: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_MONTHS, ["usage_usagerecord"])
        months = [name for (name,) in cursor.fetchall()]
        for label in _LABELS:
            columns = f"(organisation_id, {label}, id DESC) WHERE final AND {label} <> ''"
            whole = f"record_by_{label}"
            cursor.execute(
                f"CREATE INDEX IF NOT EXISTS {whole} ON ONLY usage_usagerecord {columns}"
            )
            for month in months:
                own = f"{month}_by_{label}"
                cursor.execute(_STATE, [own])
                valid, joined = cursor.fetchone() or (None, False)
                if valid is False:  # left by a build that was cut off
                    cursor.execute(f"DROP INDEX CONCURRENTLY {own}")
                if not valid:
                    cursor.execute(f"CREATE INDEX CONCURRENTLY {own} ON {month} {columns}")
                if not joined:
                    cursor.execute(f"ALTER INDEX {whole} ATTACH PARTITION {own}")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("usage", "0030_whom_requests_count_to")]

    operations = [
        migrations.RunPython(build, migrations.RunPython.noop),
        migrations.RunSQL(
            migrations.RunSQL.noop, "DROP INDEX record_by_project; DROP INDEX record_by_customer"
        ),
    ]
