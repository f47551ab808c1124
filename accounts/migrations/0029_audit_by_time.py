from django.db import migrations, models

from lib.database.concurrent_indexes import AddIndexAgain


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("accounts", "0028_erasure_in_an_organisation")]

    operations = [
        AddIndexAgain(
            model_name="auditevent",
            index=models.Index(fields=["at"], name="audit_by_time"),
        ),
        AddIndexAgain(
            model_name="erasure",
            index=models.Index(
                condition=models.Q(("done_at", None)), fields=["id"], name="unfinished_erasures"
            ),
        ),
    ]
