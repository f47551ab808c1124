from django.db import migrations, models

from lib.database.concurrent_indexes import AddIndexAgain


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("playground", "0016_where_a_stopped_answer_ends")]

    operations = [
        AddIndexAgain(
            model_name="conversation",
            index=models.Index(
                condition=models.Q(("deleted_at", None), _negated=True),
                fields=["deleted_at"],
                name="deleted_chats",
            ),
        ),
    ]
