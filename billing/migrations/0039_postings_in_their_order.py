"""An index whose newest rows come last has full pages; with the newest first they are half full."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # Nobody's posting waits until the index is built.
    atomic = False

    dependencies = [("billing", "0038_holds_without_a_posting")]

    operations = [
        AddIndexConcurrently(
            "posting", models.Index(fields=["organisation", "id"], name="posting_of_organisation")
        ),
        RemoveIndexConcurrently("posting", "posting_by_organisation"),
    ]
