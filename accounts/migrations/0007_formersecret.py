import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0006_include_cost"),
    ]

    operations = [
        migrations.CreateModel(
            name="FormerSecret",
            fields=[
                (
                    "digest",
                    models.BinaryField(max_length=32, primary_key=True, serialize=False),
                ),
                ("last4", models.CharField(max_length=4)),
                ("until", models.DateTimeField()),
                (
                    "key",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="former_secrets",
                        to="accounts.key",
                    ),
                ),
            ],
        ),
    ]
