import django.db.models.functions.datetime
from django.db import migrations, models

import lib.ids


class Migration(migrations.Migration):
    dependencies = [
        ("gateway", "0027_model_charge_rules"),
    ]

    operations = [
        migrations.AddField(
            model_name="modelrule",
            name="shadow",
            field=models.JSONField(
                blank=True,
                db_default=models.Value({}, output_field=models.JSONField()),
                default=dict,
            ),
        ),
        migrations.CreateModel(
            name="ShadowAnswer",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=lib.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("rule", models.CharField(max_length=200)),
                ("request_id", models.UUIDField()),
                ("model", models.CharField(max_length=200)),
                ("main_channel", models.CharField(max_length=120)),
                ("main_status", models.PositiveSmallIntegerField()),
                ("main_ttft_ms", models.PositiveIntegerField(null=True)),
                ("main_total_ms", models.PositiveIntegerField()),
                ("main_tokens", models.BigIntegerField()),
                ("main_finish", models.CharField(max_length=40)),
                ("main_cost_nano", models.BigIntegerField(null=True)),
                ("channel_id", models.UUIDField()),
                ("channel", models.CharField(max_length=120)),
                ("upstream_model", models.CharField(max_length=200)),
                ("fault", models.CharField(max_length=8)),
                ("ttft_ms", models.PositiveIntegerField(null=True)),
                ("total_ms", models.PositiveIntegerField()),
                ("tokens", models.BigIntegerField()),
                ("finish", models.CharField(max_length=40)),
                ("cost_nano", models.BigIntegerField()),
                ("likeness", models.PositiveSmallIntegerField(null=True)),
                ("same_structure", models.BooleanField(null=True)),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [models.Index(fields=["at"], name="shadow_answers_by_time")],
            },
        ),
    ]
