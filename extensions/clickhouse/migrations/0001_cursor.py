from django.db import migrations, models

import lib.ids

CURSOR = migrations.CreateModel(
    name="ClickHouseCursor",
    fields=[
        ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
        ("schema", models.SmallIntegerField(default=0)),
        ("fill", models.UUIDField(default=lib.ids.new_id)),
        ("batches", models.BigIntegerField(default=0)),
        ("snapshot", models.TextField(default="")),
        ("target", models.TextField(default="")),
        ("target_to", models.DateTimeField(null=True)),
        ("after_xid", models.BigIntegerField(null=True)),
        ("after_organisation", models.UUIDField(null=True)),
        ("after_id", models.UUIDField(null=True)),
        ("whole_from", models.DateTimeField(null=True)),
        ("complete_to", models.DateTimeField(null=True)),
        (
            "error",
            models.CharField(
                default="", help_text="Of the last run; none if good.", max_length=200
            ),
        ),
    ],
    options={
        "db_table": "usage_clickhousecursor",
        "constraints": [
            models.CheckConstraint(condition=models.Q(("id", 1)), name="one_clickhouse")
        ],
    },
)


class Migration(migrations.Migration):
    """The migrations of usage make the table."""

    initial = True
    dependencies = [("usage", "0071_clickhouse_left")]
    operations = [migrations.SeparateDatabaseAndState(state_operations=[CURSOR])]
