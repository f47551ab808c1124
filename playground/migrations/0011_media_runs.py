import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import lib.ids


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0020_client_address_days"),
        ("playground", "0010_payer_rules"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="MediaRun",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=lib.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("image", "Image"),
                            ("speech", "Speech"),
                            ("transcription", "Transcription"),
                            ("video", "Video"),
                        ],
                        max_length=16,
                    ),
                ),
                ("operation", models.CharField(max_length=40)),
                ("model", models.CharField(max_length=200)),
                ("prompt", models.TextField(default="")),
                ("settings", models.JSONField(default=dict)),
                ("body", models.JSONField(default=dict)),
                ("project", models.CharField(default="", max_length=100)),
                ("batch", models.UUIDField(default=lib.ids.new_id)),
                ("column", models.SmallIntegerField(default=0)),
                ("token", models.UUIDField()),
                ("request_id", models.UUIDField(default=lib.ids.new_id)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("running", "Running"),
                            ("done", "Done"),
                            ("stopped", "Stopped"),
                            ("failed", "Failed"),
                            ("interrupted", "Interrupted"),
                        ],
                        default="running",
                        max_length=12,
                    ),
                ),
                ("text", models.TextField(default="")),
                ("facts", models.JSONField(default=dict)),
                ("task", models.CharField(default="", max_length=40)),
                (
                    "heartbeat_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("stop_at", models.DateTimeField(null=True)),
                (
                    "started_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("ended_at", models.DateTimeField(null=True)),
                ("outcome", models.JSONField(null=True)),
                (
                    "key",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="accounts.key",
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="MediaFile",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("role", models.CharField(max_length=8)),
                ("position", models.SmallIntegerField(default=0)),
                ("name", models.CharField(max_length=200)),
                (
                    "file",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="playground.attachment",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="files",
                        to="playground.mediarun",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.AddIndex(
            model_name="mediarun",
            index=models.Index(fields=["organisation", "user", "-id"], name="media_of_a_person"),
        ),
        migrations.AddIndex(
            model_name="mediarun",
            index=models.Index(
                condition=models.Q(("ended_at", None)),
                fields=["heartbeat_at"],
                name="running_media",
            ),
        ),
        migrations.AddConstraint(
            model_name="mediarun",
            constraint=models.UniqueConstraint(
                fields=("user", "token", "column"), name="media_token_once"
            ),
        ),
    ]
