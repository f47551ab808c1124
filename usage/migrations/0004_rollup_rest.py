"""Summing up rests in proportion to how long it took."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("usage", "0003_rollup_channel_name")]

    operations = [
        migrations.AddField(
            model_name="rollupwatermark",
            name="rest_until",
            field=models.DateTimeField(null=True),
        ),
    ]
