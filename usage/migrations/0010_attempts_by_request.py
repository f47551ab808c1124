"""Attempts of a request are found by its id alone.

An index that begins with the organisation is one that a planner without statistics takes for the
look-up of an attempt by its key, and it would read every attempt of the organisation.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("usage", "0009_records_under_review")]

    operations = [
        migrations.RunSQL(
            """
            DROP INDEX attempt_by_request;
            CREATE INDEX attempt_by_request ON usage_attempt (request_id)""",
            """
            DROP INDEX attempt_by_request;
            CREATE INDEX attempt_by_request ON usage_attempt (organisation_id, request_id)""",
        ),
    ]
