"""Attempts and usage records as tables partitioned by month; written once, never changed.

Django makes plain tables only. The models' columns are copied from the plain tables of the first
migration, so that they are named in one place.
"""

from django.db import migrations

from usage.partitions import ensure_at_migration

_INDEXES = {
    "usage_attempt": """
        CREATE INDEX attempt_by_request ON usage_attempt (organisation_id, request_id)""",
    "usage_usagerecord": """
        CREATE INDEX record_by_request ON usage_usagerecord (organisation_id, request_id);
        CREATE INDEX record_log ON usage_usagerecord (organisation_id, id DESC) WHERE final;
        CREATE INDEX record_by_admission ON usage_usagerecord (admitted_at);
        CREATE INDEX record_by_transaction ON usage_usagerecord (xid)""",
}
_TRANSACTION = """
        ALTER TABLE usage_usagerecord ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id()"""


def _partition(table: str) -> str:
    return f"""
        ALTER TABLE {table} RENAME TO {table}_plain;
        CREATE TABLE {table} (
            LIKE {table}_plain INCLUDING DEFAULTS, PRIMARY KEY (organisation_id, id)
        ) PARTITION BY RANGE (id);
        DROP TABLE {table}_plain;
        CREATE TABLE {table}_other PARTITION OF {table} DEFAULT;
        {_TRANSACTION if table == "usage_usagerecord" else ""};
        {_INDEXES[table]};
        CREATE TRIGGER written_once BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION weir_written_once();
    """


class Migration(migrations.Migration):
    dependencies = [("usage", "0001_initial"), ("billing", "0002_books")]

    operations = [
        migrations.RunSQL(_partition("usage_attempt"), migrations.RunSQL.noop),
        migrations.RunSQL(_partition("usage_usagerecord"), migrations.RunSQL.noop),
        migrations.RunPython(ensure_at_migration, migrations.RunPython.noop),
    ]
