from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("usage", "0068_own_keys_late"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="latetruth",
            index=models.Index(
                condition=models.Q(("own_change_nano__isnull", False)),
                fields=["posted_at"],
                name="truth_of_own_key",
            ),
        ),
    ]
