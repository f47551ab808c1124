from django.db import migrations, models

from lib.database.concurrent_indexes import AddIndexAgain


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("gateway", "0048_channel_rest")]

    operations = [
        AddIndexAgain(
            model_name="channeltestrun",
            index=models.Index(
                condition=models.Q(("ended_at", None)),
                fields=["id"],
                name="unfinished_channel_tests",
            ),
        ),
    ]
