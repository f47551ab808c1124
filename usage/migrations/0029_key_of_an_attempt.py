"""An attempt's row names the provider key that was used: several may end alike."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("usage", "0028_records_in_their_order")]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="channel_key_id",
            field=models.UUIDField(
                help_text="The provider key; null where there was none, or none was noted.",
                null=True,
            ),
        ),
    ]
