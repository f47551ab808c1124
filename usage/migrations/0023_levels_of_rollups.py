"""Rollups have levels: hours and days beside the quarters, which the job fills in batches."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0019_data_policy"),
        ("usage", "0022_asked_model"),
    ]

    operations = [
        migrations.AddField(
            model_name="rollupwatermark",
            name="levels_to",
            field=models.DateTimeField(null=True),
        ),
        migrations.CreateModel(
            name="DayRollup",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "organisation_id",
                        "bucket_at",
                        "team_id",
                        "key_id",
                        "user_id",
                        "model",
                        "channel_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("bucket_at", models.DateTimeField()),
                ("team_id", models.UUIDField()),
                ("key_id", models.UUIDField()),
                ("user_id", models.BigIntegerField(help_text="0 = nobody's key")),
                ("model", models.CharField(max_length=200)),
                (
                    "channel_id",
                    models.UUIDField(help_text="the nil id = refused before any channel"),
                ),
                ("channel_name", models.CharField(default="", max_length=120)),
                ("requests", models.BigIntegerField()),
                ("errors", models.BigIntegerField()),
                ("charge_nano", models.BigIntegerField()),
                ("in_text", models.BigIntegerField(null=True)),
                ("in_cache_read", models.BigIntegerField(null=True)),
                ("out_text", models.BigIntegerField(null=True)),
                ("out_reasoning", models.BigIntegerField(null=True)),
                ("meters", models.JSONField()),
                (
                    "organisation",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="HourRollup",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "organisation_id",
                        "bucket_at",
                        "team_id",
                        "key_id",
                        "user_id",
                        "model",
                        "channel_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("bucket_at", models.DateTimeField()),
                ("team_id", models.UUIDField()),
                ("key_id", models.UUIDField()),
                ("user_id", models.BigIntegerField(help_text="0 = nobody's key")),
                ("model", models.CharField(max_length=200)),
                (
                    "channel_id",
                    models.UUIDField(help_text="the nil id = refused before any channel"),
                ),
                ("channel_name", models.CharField(default="", max_length=120)),
                ("requests", models.BigIntegerField()),
                ("errors", models.BigIntegerField()),
                ("charge_nano", models.BigIntegerField()),
                ("in_text", models.BigIntegerField(null=True)),
                ("in_cache_read", models.BigIntegerField(null=True)),
                ("out_text", models.BigIntegerField(null=True)),
                ("out_reasoning", models.BigIntegerField(null=True)),
                ("meters", models.JSONField()),
                (
                    "organisation",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
    ]
