from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_formersecret")]

    operations = [
        migrations.CreateModel(
            name="SecretCheck",
            fields=[
                (
                    "id",
                    models.SmallIntegerField(default=1, primary_key=True, serialize=False),
                ),
                ("sealed", models.BinaryField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="one_secret_check")
                ],
            },
        ),
    ]
