"""What operators decide on doubted counts; written once, as the trail is."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("usage", "0010_attempts_by_request"),
        ("billing", "0013_kept_holds_and_costs"),
    ]

    operations = [
        migrations.CreateModel(
            name="Review",
            fields=[
                ("attempt_id", models.UUIDField(primary_key=True, serialize=False)),
                ("organisation_id", models.UUIDField()),
                ("request_id", models.UUIDField()),
                (
                    "settle_as",
                    models.CharField(
                        choices=[
                            ("amount", "A specific amount"),
                            ("bound", "The reserved amount"),
                            ("free", "Free of charge"),
                        ],
                        max_length=6,
                    ),
                ),
                ("before_nano", models.BigIntegerField()),
                ("charge_nano", models.BigIntegerField()),
                ("reason", models.CharField(max_length=500)),
                (
                    "decided_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "decided_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("charge_nano__gte", 0)),
                        name="review_charge_not_negative",
                    )
                ],
            },
        ),
        migrations.RunSQL(
            """
            CREATE TRIGGER written_once BEFORE UPDATE OR DELETE ON usage_review
                FOR EACH ROW EXECUTE FUNCTION weir_written_once();""",
            "DROP TRIGGER written_once ON usage_review",
        ),
    ]
