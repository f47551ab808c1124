"""A media task names the key that it was accepted for by its id: two keys may end alike. The column
of before stays, for processes of the version before, which go on with this database."""

from django.db import migrations, models

_FILL = """
    UPDATE gateway_mediatask task SET channel_key_id = key.id
    FROM gateway_channelkey key
    WHERE task.channel_key <> '' AND key.channel_id = task.channel_id
      AND key.last4 = task.channel_key"""


class Migration(migrations.Migration):
    dependencies = [("gateway", "0034_task_callbacks")]

    operations = [
        migrations.AddField("mediatask", "channel_key_id", models.UUIDField(null=True)),
        migrations.RunSQL(_FILL, migrations.RunSQL.noop),
        migrations.AlterField(
            "mediatask",
            "channel_key",
            models.CharField(max_length=4, blank=True, default="", db_default=""),
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.RemoveField("mediatask", "channel_key")]
        ),
    ]
