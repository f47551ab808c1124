from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0016_refused_reversals_and_grants")]

    operations = [
        migrations.AddField(
            model_name="account",
            name="overdraft_nano",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.RemoveConstraint(model_name="account", name="customer_balance_not_negative"),
        migrations.AddConstraint(
            model_name="account",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind__in", ["customer:available", "customer:held"]), _negated=True),
                    ("balance_nano__gte", models.F("overdraft_nano") * -1),
                    _connector="OR",
                ),
                name="customer_balance_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="account",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("overdraft_nano", 0),
                    models.Q(("kind", "customer:available"), ("overdraft_nano__gt", 0)),
                    _connector="OR",
                ),
                name="overdraft_of_available",
            ),
        ),
    ]
