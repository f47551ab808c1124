"""Requests of a project or a customer are found without a look at all others: no sum tells of them.
Only requests that have the label are in its index."""

from django.db import migrations

from lib.database.partition_indexes import build_index

_LABELS = ("project", "customer")


def build(apps: object, schema_editor: object) -> None:
    for label in _LABELS:
        indexed = f"(organisation_id, {label}, id) WHERE final AND {label} <> ''"
        build_index("usage_usagerecord", f"record_by_{label}", indexed)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("usage", "0025_whom_requests_count_to")]

    operations = [
        migrations.RunPython(build, migrations.RunPython.noop),
        migrations.RunSQL(
            migrations.RunSQL.noop, "DROP INDEX record_by_project; DROP INDEX record_by_customer"
        ),
    ]
