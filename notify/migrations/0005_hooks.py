"""A delivery may be for the address that a task was ordered with. No row that is there can break
the new constraint: it asks less of them than the one before."""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notify", "0004_operator_alerts")]

    operations = [
        migrations.AddField("delivery", "hook", models.BinaryField(null=True)),
        migrations.RemoveConstraint("delivery", "one_receiver"),
        AddConstraintNotValid(
            "delivery",
            models.CheckConstraint(
                condition=models.Q(("endpoint", None), ("user", None))
                | (
                    models.Q(("hook", None))
                    & (models.Q(("endpoint", None)) ^ models.Q(("user", None)))
                ),
                name="receiver_of_one_kind",
            ),
        ),
    ]
