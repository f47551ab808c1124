import django.contrib.postgres.fields
from django.db import migrations, models

# What was written before is not counted: it would be read whole, and its time is over.
_START = """
    INSERT INTO gateway_trafficcursor (id, xid)
    VALUES (1, pg_snapshot_xmin(pg_current_snapshot())::text::bigint)"""


class Migration(migrations.Migration):
    dependencies = [
        ("gateway", "0010_edited_channels"),
    ]

    operations = [
        migrations.CreateModel(
            name="TrafficBucket",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "bucket_at",
                        "channel_id",
                        "model",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("bucket_at", models.DateTimeField()),
                (
                    "channel_id",
                    models.UUIDField(help_text="the nil id = refused before any channel"),
                ),
                ("model", models.CharField(max_length=200)),
                ("attempts", models.BigIntegerField()),
                ("failed", models.BigIntegerField()),
                ("requests", models.BigIntegerField()),
                ("failed_requests", models.BigIntegerField()),
                ("output_tokens", models.BigIntegerField()),
                ("writing_ms", models.BigIntegerField()),
                (
                    "first_tokens",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), size=None
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="TrafficCursor",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("xid", models.BigIntegerField(default=0)),
                ("since", models.DateTimeField(null=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="one_traffic_cursor")
                ],
            },
        ),
        migrations.CreateModel(
            name="TrafficTotal",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("family", models.CharField(max_length=16)),
                (
                    "labels",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=200), size=None
                    ),
                ),
                ("value", models.BigIntegerField()),
                (
                    "counts",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), default=list, size=None
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("family", "labels"), name="one_total_for_labels"
                    )
                ],
            },
        ),
        migrations.RunSQL(_START, migrations.RunSQL.noop),
    ]
