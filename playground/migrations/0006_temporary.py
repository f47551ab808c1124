from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("playground", "0005_sending")]

    operations = [
        migrations.AddField(
            model_name="conversation",
            name="ends_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="conversation",
            name="visit",
            field=models.UUIDField(null=True),
        ),
        migrations.AddIndex(
            model_name="conversation",
            index=models.Index(
                fields=["ends_at"],
                condition=models.Q(("ends_at", None), _negated=True),
                name="temporary_chats",
            ),
        ),
    ]
