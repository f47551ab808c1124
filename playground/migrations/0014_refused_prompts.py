from django.db import migrations, models

_STATES = [
    ("running", "Running"),
    ("done", "Done"),
    ("stopped", "Stopped"),
    ("failed", "Failed"),
    ("interrupted", "Interrupted"),
    ("refused", "Refused"),
]


class Migration(migrations.Migration):
    dependencies = [("playground", "0013_kinds_of_media")]

    operations = [
        migrations.AlterField(
            model_name="mediarun",
            name="state",
            field=models.CharField(choices=_STATES, default="running", max_length=12),
        ),
        migrations.AlterField(
            model_name="message",
            name="state",
            field=models.CharField(choices=_STATES, default="done", max_length=12),
        ),
        migrations.AlterField(
            model_name="run",
            name="state",
            field=models.CharField(choices=_STATES, default="running", max_length=12),
        ),
    ]
