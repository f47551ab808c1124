import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_squashed_0025_team_leads"),
    ]

    operations = [
        migrations.CreateModel(
            name="DeviceSignIn",
            fields=[
                ("digest", models.BinaryField(max_length=32, primary_key=True, serialize=False)),
                ("user_code_digest", models.BinaryField(max_length=32, unique=True)),
                ("client", models.CharField(max_length=60)),
                ("address", models.CharField(blank=True, default="", max_length=45)),
                ("expires_at", models.DateTimeField(db_index=True)),
                ("polled_at", models.DateTimeField(null=True)),
                ("allowed", models.BooleanField(null=True)),
                (
                    "key",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.key",
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
    ]
