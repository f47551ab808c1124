from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from config.row_security import make_role


def _make_role(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    make_role(schema_editor.connection)


class Migration(migrations.Migration):
    """The role that pages act in. The policies follow every `migrate` (config/row_security.py)."""

    dependencies = [("config", "0001_job_runs")]

    operations = [migrations.RunPython(_make_role, migrations.RunPython.noop, elidable=False)]
