"""An index of the records that name an end user. It is built for one month after the other without
a lock, because writers of records must not wait for it."""

from typing import Any

from django.db import migrations

from lib.database.concurrent_indexes import build_index

_COLUMNS = "(organisation_id, end_user, id) WHERE final AND end_user <> ''"


def build(apps: Any, schema_editor: Any) -> None:
    build_index("usage_usagerecord", "record_by_end_user", _COLUMNS, "end_user")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("usage", "0074_answer_cache")]

    operations = [migrations.RunPython(build, migrations.RunPython.noop)]
