"""Rollups carry the channel's name: who reads them may not know the tables of channels."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("usage", "0002_partitions")]

    operations = [
        migrations.AddField(
            model_name="rollup",
            name="channel_name",
            field=models.CharField(default="", max_length=120),
        ),
    ]
