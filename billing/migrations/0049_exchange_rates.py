"""What one USD is worth in other currencies, by day."""

import django.db.models.functions.datetime
from django.db import migrations, models

import lib.ids


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0044_included_units"),
    ]

    operations = [
        migrations.CreateModel(
            name="ExchangeRate",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=lib.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("currency", models.CharField(max_length=3)),
                ("day", models.DateField()),
                ("per_usd", models.DecimalField(decimal_places=10, max_digits=20)),
                ("source", models.CharField(blank=True, default="", max_length=120)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["currency", "day", "id"], name="exchange_rate_by_day")
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("per_usd__gt", 0)), name="exchange_rate_above_zero"
                    )
                ],
            },
        ),
    ]
