"""Attempts and records of a realtime session name it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("usage", "0055_exports_as_focus")]

    operations = [
        migrations.AddField(
            model_name=model,
            name="session_id",
            field=models.UUIDField(
                null=True, help_text="The realtime session that it was part of."
            ),
        )
        for model in ("attempt", "usagerecord")
    ]
