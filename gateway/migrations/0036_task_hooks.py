"""The address that hears of the end of a task, sealed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0035_tasks_by_key")]

    operations = [
        migrations.AddField("mediatask", "hook", models.BinaryField(null=True)),
    ]
