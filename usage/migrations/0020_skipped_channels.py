"""Which channels a request passed over, and why."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("usage", "0019_last_uses_from_rollups")]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="skipped",
            field=models.JSONField(
                help_text="The channels before it that could not be used, as [{channel, reason}, "
                "…].",
                null=True,
            ),
        ),
    ]
