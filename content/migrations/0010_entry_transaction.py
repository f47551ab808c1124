from django.db import migrations

# By the transaction that wrote an entry, a sink finds those that it does not have, in whatever
# order transactions commit. A constant default rewrites no row: entries that are there have a
# number that every snapshot sees.
_BY_TRANSACTION = """
    ALTER TABLE content_entry ADD COLUMN xid xid8 NOT NULL DEFAULT '1';
    ALTER TABLE content_entry ALTER COLUMN xid SET DEFAULT pg_current_xact_id();
    CREATE INDEX entry_by_transaction ON content_entry (xid, request_id);
"""


class Migration(migrations.Migration):
    dependencies = [("content", "0009_policy_limits")]

    operations = [migrations.RunSQL(_BY_TRANSACTION, "ALTER TABLE content_entry DROP COLUMN xid")]
