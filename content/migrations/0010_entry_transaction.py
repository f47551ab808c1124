from typing import Any

from django.db import migrations

from lib.database.concurrent_indexes import build_index

# By the transaction that wrote an entry, a sink finds those that it does not have, in whatever
# order transactions commit. A constant default rewrites no row: entries that are there have a
# number that every snapshot sees. No entry is written between both statements.
_ADD_COLUMN = """
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_attribute
                       WHERE attrelid = 'content_entry'::regclass AND attname = 'xid') THEN
            ALTER TABLE content_entry ADD COLUMN xid xid8 NOT NULL DEFAULT '1';
            ALTER TABLE content_entry ALTER COLUMN xid SET DEFAULT pg_current_xact_id();
        END IF;
    END $$"""


def build(apps: Any, schema_editor: Any) -> None:
    """For one partition after the other, because writers of entries must not wait for it."""
    build_index("content_entry", "entry_by_transaction", "(xid, request_id)", "transaction")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("content", "0009_policy_limits")]

    operations = [
        migrations.RunSQL(_ADD_COLUMN, "ALTER TABLE content_entry DROP COLUMN xid"),
        migrations.RunPython(build, migrations.RunPython.noop),
    ]
