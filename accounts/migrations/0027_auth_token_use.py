import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0026_device_sign_in")]

    operations = [
        migrations.CreateModel(
            name="AuthTokenUse",
            fields=[
                ("token_id", models.UUIDField(primary_key=True, serialize=False)),
                ("uses", models.PositiveIntegerField()),
                ("ends_at", models.DateTimeField()),
                (
                    "key",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.key",
                    ),
                ),
            ],
        ),
    ]
