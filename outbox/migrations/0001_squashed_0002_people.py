"""What other rooms have to tell, until it is told."""

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models
from django.db.models.functions import Now

from lib.database.schema import CreateModels
from lib.ids import new_id

REPLACED = [
    "0001_initial",
    "0002_people",
]

TABLES = [
    migrations.CreateModel(
        name="Fact",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("organisation_id", models.UUIDField(null=True)),
            ("kind", models.CharField(max_length=60)),
            ("body", models.JSONField(default=dict)),
            ("created_at", models.DateTimeField(db_default=Now())),
            (
                "taken_at",
                models.DateTimeField(help_text="When its deliveries were made.", null=True),
            ),
            (
                "people",
                ArrayField(
                    base_field=models.BigIntegerField(), db_default=[], default=list, size=None
                ),
            ),
        ],
        options={
            "indexes": [
                models.Index(
                    condition=models.Q(("taken_at", None)), fields=["id"], name="facts_to_tell"
                )
            ],
        },
    ),
]


class Migration(migrations.Migration):
    initial = True

    replaces = [("outbox", name) for name in REPLACED]

    dependencies = []

    operations = [CreateModels(TABLES)]
