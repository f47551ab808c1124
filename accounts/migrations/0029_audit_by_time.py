from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("accounts", "0028_erasure_in_an_organisation")]

    operations = [
        AddIndexConcurrently(
            model_name="auditevent",
            index=models.Index(fields=["at"], name="audit_by_time"),
        ),
        AddIndexConcurrently(
            model_name="erasure",
            index=models.Index(
                condition=models.Q(("done_at", None)), fields=["id"], name="unfinished_erasures"
            ),
        ),
    ]
