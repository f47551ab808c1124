"""Media tasks: videos that providers work on after they have accepted them."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0019_data_policy"),
        ("gateway", "0030_shadow_spend"),
    ]

    operations = [
        migrations.CreateModel(
            name="MediaTask",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("public_id", models.CharField(max_length=40, unique=True)),
                ("team_id", models.UUIDField()),
                ("request_id", models.UUIDField(db_index=True)),
                ("operation", models.CharField(max_length=40)),
                ("model", models.CharField(max_length=200)),
                ("form", models.CharField(max_length=40)),
                ("channel_id", models.UUIDField()),
                ("channel_key", models.CharField(blank=True, default="", max_length=4)),
                ("upstream_id", models.CharField(max_length=200)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("running", "Running"),
                            ("succeeded", "Succeeded"),
                            ("failed", "Failed"),
                        ],
                        default="queued",
                        max_length=9,
                    ),
                ),
                ("progress", models.PositiveSmallIntegerField(default=0)),
                ("seconds", models.PositiveIntegerField()),
                ("size", models.CharField(max_length=12)),
                ("remixed_from", models.CharField(blank=True, default="", max_length=40)),
                ("request", models.BinaryField(null=True)),
                ("result", models.BinaryField(null=True)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("started_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("expires_at", models.DateTimeField(null=True)),
                ("deleted_at", models.DateTimeField(null=True)),
                ("next_poll_at", models.DateTimeField(null=True)),
                ("polls", models.PositiveIntegerField(default=0)),
                ("failures", models.PositiveIntegerField(default=0)),
                (
                    "organisation",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("next_poll_at__isnull", False)),
                        fields=["next_poll_at"],
                        name="tasks_to_poll",
                    ),
                    models.Index(
                        condition=models.Q(("deleted_at", None)),
                        fields=["team_id", "-id"],
                        name="tasks_of_team",
                    ),
                    models.Index(
                        condition=models.Q(("request", None), ("result", None), _negated=True),
                        fields=["expires_at"],
                        name="tasks_with_content",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("ended_at", None),
                                ("next_poll_at__isnull", False),
                                ("state__in", ["queued", "running"]),
                            ),
                            models.Q(
                                ("ended_at__isnull", False),
                                ("expires_at__isnull", False),
                                ("next_poll_at", None),
                                ("state__in", ["succeeded", "failed"]),
                            ),
                            _connector="OR",
                        ),
                        name="task_polled_until_its_end",
                    )
                ],
            },
        ),
    ]
