from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0017_credit_lines"),
    ]

    operations = [
        migrations.AddField(
            model_name="budget",
            name="removed_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.RemoveConstraint(
            model_name="budget",
            name="budget_once",
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.UniqueConstraint(
                condition=models.Q(("removed_at", None)),
                fields=("organisation", "scope", "subject", "period"),
                name="budget_once",
            ),
        ),
    ]
