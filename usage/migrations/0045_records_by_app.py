"""Requests of an application are found without a look at all others: no sum tells of them. Only
requests whose application is known are in its index."""

from django.db import migrations

from lib.database.partition_indexes import build_index

_INDEXED = "(organisation_id, client_app, id) WHERE final AND client_app <> ''"


def build(apps: object, schema_editor: object) -> None:
    build_index("usage_usagerecord", "record_by_app", _INDEXED)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("usage", "0040_detached_months")]

    operations = [
        migrations.RunPython(build, migrations.RunPython.noop),
        migrations.RunSQL(migrations.RunSQL.noop, "DROP INDEX record_by_app"),
    ]
