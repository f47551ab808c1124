"""Attempts and records say whom they count to (labels, application, end user); records also what
the provider called the request and which parameters were left out. Addresses of clients have a
table of their own, whose rows can go."""

from typing import Any

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


def attribution(model: str) -> list[migrations.AddField]:
    fields: dict[str, models.Field[Any, Any]] = {
        "project": models.CharField(db_default="", max_length=100),
        "tags": models.JSONField(null=True),
        "customer": models.CharField(db_default="", max_length=100),
        "client_app": models.CharField(
            db_default="", help_text="relay/requests/client_apps.py", max_length=64
        ),
        "end_user": models.CharField(
            db_default="", help_text="The user that the request names.", max_length=256
        ),
    }
    return [
        migrations.AddField(model_name=model, name=name, field=field)
        for name, field in fields.items()
    ]


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0020_client_address_days"),
        ("usage", "0024_records_that_were_stopped"),
    ]

    operations = [
        *attribution("attempt"),
        *attribution("usagerecord"),
        migrations.AddField(
            model_name="usagerecord",
            name="upstream_request_id",
            field=models.CharField(
                db_default="", help_text="What the provider calls the request.", max_length=200
            ),
        ),
        migrations.AddField(
            model_name="usagerecord",
            name="dropped",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(),
                help_text="The parameters that were left out.",
                null=True,
                size=None,
            ),
        ),
        migrations.CreateModel(
            name="ClientAddress",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "organisation_id",
                        "record_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("record_id", models.UUIDField()),
                ("address", models.CharField(max_length=64)),
                (
                    "noted_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
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
            ],
            options={
                "indexes": [
                    models.Index(fields=["organisation", "noted_at"], name="address_by_age")
                ],
            },
        ),
    ]
