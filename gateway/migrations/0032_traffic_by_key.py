"""The traffic of provider keys goes by their ids, and their last use is kept. Buckets of how keys
end, which older processes may still add, are shown nowhere, and gone after a day."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0031_media_tasks")]

    operations = [
        migrations.AlterField(
            model_name="keytrafficbucket",
            name="channel_key",
            field=models.CharField(max_length=36),
        ),
        migrations.CreateModel(
            name="ChannelKeyUse",
            fields=[
                ("key_id", models.UUIDField(primary_key=True, serialize=False)),
                ("used_at", models.DateTimeField()),
            ],
        ),
    ]
