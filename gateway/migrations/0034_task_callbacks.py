from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0033_task_words")]

    operations = [
        migrations.AddField("mediatask", "polled_at", models.DateTimeField(null=True)),
        migrations.AddField(
            "mediatask",
            "callback_token",
            models.CharField(blank=True, db_default="", default="", max_length=43),
        ),
    ]
