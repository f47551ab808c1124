import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import lib.ids


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0029_audit_by_time"),
        ("billing", "0059_promo_to_expire"),
    ]

    operations = [
        migrations.CreateModel(
            name="TrialSetting",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("amount_nano", models.BigIntegerField(default=0)),
                (
                    "once",
                    models.CharField(
                        choices=[("domain", "Domain"), ("person", "Person")],
                        default="domain",
                        max_length=6,
                    ),
                ),
                ("days", models.PositiveSmallIntegerField(default=30, null=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="one_trial_setting"),
                    models.CheckConstraint(
                        condition=models.Q(("amount_nano__gte", 0)), name="trial_not_negative"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Trial",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=lib.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("person", models.BinaryField(max_length=32, unique=True)),
                ("domain", models.BinaryField(max_length=32, null=True, unique=True)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "grant",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.promogrant",
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
            ],
        ),
    ]
