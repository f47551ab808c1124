"""The runs of jobs, the rows that came from another hub, and the role that pages act in.

The role's rights and policies follow every `migrate` (config/system/row_security.py).
"""

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models.functions import Now

from config.system.row_security import make_role
from lib.database.schema import CreateModels

REPLACED = [
    "0001_job_runs",
    "0002_row_security",
    "0003_imported_rows",
    "0004_backup_schedule",
]

TABLES = [
    migrations.CreateModel(
        name="JobRun",
        fields=[
            ("task", models.CharField(max_length=100, primary_key=True, serialize=False)),
            ("expected_at", models.DateTimeField(db_default=Now())),
            ("began_at", models.DateTimeField(null=True)),
            ("ended_at", models.DateTimeField(null=True)),
            ("error", models.CharField(db_default="", default="", max_length=100)),
            ("good_at", models.DateTimeField(null=True)),
            (
                "told_at",
                models.DateTimeField(
                    help_text="When operators were told that it is late.", null=True
                ),
            ),
            (
                "bytes",
                models.BigIntegerField(help_text="The size of the last good backup.", null=True),
            ),
        ],
    ),
    migrations.CreateModel(
        name="ImportedRow",
        fields=[
            (
                "id",
                models.BigAutoField(
                    auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                ),
            ),
            ("source", models.CharField(max_length=60)),
            ("table", models.CharField(max_length=60)),
            ("row", models.CharField(max_length=500)),
            ("made", models.CharField(max_length=60)),
            ("fingerprint", models.CharField(db_default="", default="", max_length=16)),
            ("imported_at", models.DateTimeField(db_default=Now())),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(fields=("source", "table", "row"), name="row_imported_once")
            ],
        },
    ),
]


def _make_role(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    make_role(schema_editor.connection)


class Migration(migrations.Migration):
    initial = True

    replaces = [("config", name) for name in REPLACED]

    dependencies = []

    operations = [
        CreateModels(TABLES),
        migrations.RunPython(_make_role),
    ]
