import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.comparison
import django.db.models.functions.datetime
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models

import lib.ids
from lib.database.schema import CreateModels


class Migration(migrations.Migration):
    initial = True

    replaces = [
        ("gateway", "0001_initial"),
        ("gateway", "0002_channel_breaker"),
        ("gateway", "0003_kept_state"),
        ("gateway", "0004_price_previews"),
        ("gateway", "0005_public_models"),
    ]

    dependencies = [
        ("accounts", "0001_squashed_0004_limits"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        CreateModels(
            [
                migrations.CreateModel(
                    name="Channel",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                default=lib.ids.new_id,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("name", models.CharField(max_length=120, unique=True)),
                        ("provider", models.CharField(max_length=40)),
                        ("base_url", models.CharField(max_length=500)),
                        ("enabled", models.BooleanField(default=True)),
                        (
                            "priority",
                            models.IntegerField(default=0, help_text="Lower is asked first."),
                        ),
                        ("weight", models.PositiveIntegerField(default=1)),
                        ("retries", models.PositiveSmallIntegerField(default=2)),
                        (
                            "on_leave",
                            models.CharField(
                                choices=[("cancel", "Cancel"), ("drain", "Drain")],
                                default="cancel",
                                max_length=8,
                            ),
                        ),
                        (
                            "timeouts",
                            models.JSONField(
                                default=dict,
                                help_text="Seconds: connect, first_content, idle, total.",
                            ),
                        ),
                        (
                            "breaker",
                            models.JSONField(
                                default=dict,
                                help_text="enabled, failures, window and open_for in seconds.",
                            ),
                        ),
                        ("last_test", models.JSONField(null=True)),
                        (
                            "created_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
                    ],
                    options={
                        "ordering": ["name"],
                    },
                ),
                migrations.CreateModel(
                    name="AnswerPiece",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "organisation_id",
                                "request_id",
                                "n",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
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
                        ("request_id", models.UUIDField()),
                        ("n", models.IntegerField()),
                        ("sealed", models.BinaryField()),
                        ("expires_at", models.DateTimeField(db_index=True)),
                    ],
                ),
                migrations.CreateModel(
                    name="IdempotentAnswer",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "organisation_id",
                                "id",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
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
                        ("id", models.UUIDField()),
                        ("body_digest", models.BinaryField(max_length=32)),
                        ("request_id", models.UUIDField()),
                        (
                            "state",
                            models.CharField(
                                choices=[
                                    ("running", "Running"),
                                    ("ended", "Ended"),
                                    ("not_kept", "Not Kept"),
                                ],
                                max_length=8,
                            ),
                        ),
                        ("head", models.BinaryField(null=True)),
                        ("alive_until", models.DateTimeField()),
                        ("expires_at", models.DateTimeField(db_index=True)),
                    ],
                ),
                migrations.CreateModel(
                    name="InstallationSetting",
                    fields=[
                        (
                            "id",
                            models.SmallIntegerField(default=1, primary_key=True, serialize=False),
                        ),
                        (
                            "egress_allow",
                            django.contrib.postgres.fields.ArrayField(
                                base_field=models.CharField(max_length=50),
                                blank=True,
                                default=list,
                                size=None,
                            ),
                        ),
                        (
                            "unpriced_models",
                            models.CharField(
                                choices=[
                                    ("reject", "reject"),
                                    ("free", "free"),
                                    ("alert", "alert"),
                                ],
                                default="reject",
                                max_length=8,
                            ),
                        ),
                        ("public_models", models.BooleanField(db_default=True, default=True)),
                    ],
                    options={
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(("id", 1)), name="one_settings_row"
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="KeptState",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "organisation_id",
                                "id",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
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
                        ("id", models.UUIDField()),
                        ("sealed", models.BinaryField()),
                        ("expires_at", models.DateTimeField(db_index=True)),
                    ],
                ),
                migrations.CreateModel(
                    name="ChannelKey",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                default=lib.ids.new_id,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        (
                            "channel",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="keys",
                                to="gateway.channel",
                            ),
                        ),
                        ("position", models.PositiveSmallIntegerField()),
                        ("sealed", models.BinaryField()),
                        (
                            "digest",
                            models.BinaryField(
                                help_text="Keyed, to tell whether a new value differs.",
                                max_length=32,
                            ),
                        ),
                        ("last4", models.CharField(max_length=4)),
                    ],
                    options={
                        "ordering": ["position"],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("channel", "position"), name="channel_key_position_once"
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="PricePreview",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                default=lib.ids.new_id,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("drafts", models.JSONField()),
                        ("start_at", models.DateTimeField()),
                        ("end_at", models.DateTimeField()),
                        (
                            "state",
                            models.CharField(
                                choices=[
                                    ("queued", "Queued"),
                                    ("running", "Running"),
                                    ("done", "Done"),
                                    ("cancelled", "Cancelled"),
                                    ("failed", "Failed"),
                                ],
                                default="queued",
                                max_length=9,
                            ),
                        ),
                        ("done", models.BigIntegerField(default=0)),
                        ("total", models.BigIntegerField(null=True)),
                        ("place", models.JSONField(default=dict)),
                        ("sums", models.JSONField(default=dict)),
                        ("result", models.JSONField(null=True)),
                        ("message", models.CharField(blank=True, default="", max_length=300)),
                        (
                            "made_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "created_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
                        ("started_at", models.DateTimeField(null=True)),
                        ("ended_at", models.DateTimeField(null=True)),
                    ],
                    options={
                        "ordering": ["-id"],
                        "indexes": [
                            models.Index(
                                condition=models.Q(("state__in", ["queued", "running"])),
                                fields=["id"],
                                name="unfinished_previews",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Route",
                    fields=[
                        ("id", models.BigAutoField(primary_key=True, serialize=False)),
                        (
                            "channel",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="routes",
                                to="gateway.channel",
                            ),
                        ),
                        ("model", models.CharField(max_length=200)),
                        (
                            "upstream_model",
                            models.CharField(
                                blank=True, default="", help_text="Empty: the same.", max_length=200
                            ),
                        ),
                    ],
                    options={
                        "ordering": ["model"],
                        "constraints": [
                            models.UniqueConstraint(fields=("channel", "model"), name="route_once")
                        ],
                    },
                ),
            ]
        ),
    ]
