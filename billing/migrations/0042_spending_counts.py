import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0020_client_address_days"),
        ("billing", "0041_invoice_payments"),
    ]

    operations = [
        migrations.CreateModel(
            name="SpendingCount",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("from_entry", models.BigIntegerField()),
                ("entry", models.BigIntegerField()),
                ("included_nano", models.BigIntegerField()),
                ("promo_nano", models.BigIntegerField()),
                ("since", models.DateTimeField(null=True)),
                (
                    "counted_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organisation", "entry"), name="spending_counted_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("included_nano__gte", 0), ("promo_nano__gte", 0)),
                        name="spending_count_not_negative",
                    ),
                ],
            },
        ),
    ]
