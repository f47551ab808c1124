from django.db import migrations, models

from lib.database.concurrent_indexes import AddIndexAgain


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("usage", "0068_own_keys_late"),
    ]

    operations = [
        AddIndexAgain(
            model_name="latetruth",
            index=models.Index(
                condition=models.Q(("own_change_nano__isnull", False)),
                fields=["posted_at"],
                name="truth_of_own_key",
            ),
        ),
    ]
