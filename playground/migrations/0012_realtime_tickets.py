import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import lib.ids


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0020_client_address_days"),
        ("playground", "0011_media_runs"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="RealtimeTicket",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=lib.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("project", models.CharField(default="", max_length=100)),
                ("model", models.CharField(max_length=200)),
                ("digest", models.BinaryField(unique=True)),
                ("expires_at", models.DateTimeField()),
                (
                    "key",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.key",
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
    ]
