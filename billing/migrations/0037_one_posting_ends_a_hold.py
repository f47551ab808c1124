"""One posting ends a hold, by an index (I6); what 0036 asks of postings holds for all of them."""

from django.db import migrations

# Left invalid by a build that was cut off, it is made again.
_INDEX = [
    "DROP INDEX CONCURRENTLY IF EXISTS posting_of_end",
    """CREATE UNIQUE INDEX CONCURRENTLY posting_of_end ON billing_posting (attempt_id)
       WHERE attempt_id IS NOT NULL""",
]


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("billing", "0036_lines_in_their_posting")]

    operations = [
        migrations.RunSQL(_INDEX[0], migrations.RunSQL.noop),
        migrations.RunSQL(_INDEX[1], _INDEX[0]),
        migrations.RunSQL(
            "ALTER TABLE billing_posting VALIDATE CONSTRAINT posting_balanced",
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(
            "ALTER TABLE billing_posting VALIDATE CONSTRAINT posting_named", migrations.RunSQL.noop
        ),
    ]
