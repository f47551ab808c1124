"""An attempt's row says why its channel was asked, and by which key."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("usage", "0020_skipped_channels")]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="why",
            field=models.CharField(
                db_default="",
                help_text="Why this channel: usage/requests/choices.py.",
                max_length=16,
            ),
        ),
        migrations.AddField(
            model_name="attempt",
            name="channel_key",
            field=models.CharField(
                db_default="",
                help_text="How the provider key ends that was used.",
                max_length=4,
            ),
        ),
    ]
