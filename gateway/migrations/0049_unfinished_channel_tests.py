from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("gateway", "0048_channel_rest")]

    operations = [
        AddIndexConcurrently(
            model_name="channeltestrun",
            index=models.Index(
                condition=models.Q(("ended_at", None)),
                fields=["id"],
                name="unfinished_channel_tests",
            ),
        ),
    ]
