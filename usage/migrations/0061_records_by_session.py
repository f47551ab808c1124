"""The responses of a session are found without a look at all other requests. Only they are in its
index."""

from django.db import migrations

from lib.database.partition_indexes import build_index

_INDEXED = "(organisation_id, session_id, id) WHERE final AND session_id IS NOT NULL"


def build(apps: object, schema_editor: object) -> None:
    build_index("usage_usagerecord", "record_by_session", _INDEXED)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("usage", "0060_session_ids")]

    operations = [
        migrations.RunPython(build, migrations.RunPython.noop),
        migrations.RunSQL(migrations.RunSQL.noop, "DROP INDEX record_by_session"),
    ]
