"""A media task names the key that it was accepted for by its id: two keys may end alike."""

from django.db import migrations, models

_FILL = """
    UPDATE gateway_mediatask task SET channel_key_id = key.id
    FROM gateway_channelkey key
    WHERE task.channel_key <> '' AND key.channel_id = task.channel_id
      AND key.last4 = task.channel_key"""
_RESTORE = """
    UPDATE gateway_mediatask task SET channel_key = key.last4
    FROM gateway_channelkey key WHERE key.id = task.channel_key_id"""


class Migration(migrations.Migration):
    dependencies = [("gateway", "0034_task_callbacks")]

    operations = [
        migrations.AddField("mediatask", "channel_key_id", models.UUIDField(null=True)),
        migrations.RunSQL(_FILL, _RESTORE),
        migrations.RemoveField("mediatask", "channel_key"),
    ]
