"""What is under review is found without a look at all that is not."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("usage", "0008_stopped_is_no_error")]

    operations = [
        migrations.RunSQL(
            """
            CREATE INDEX record_under_review ON usage_usagerecord (organisation_id, id DESC)
            WHERE 'quarantine' = ANY (flags)""",
            "DROP INDEX record_under_review",
        ),
    ]
