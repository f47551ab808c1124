"""A walk through the books stores where it is and until when it rests; what it finds is a list of
its own (usage.Finding). The columns of before stay, for workers of the version before."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0050_rewritten_seals")]

    operations = [
        migrations.AddField(
            "bookswalk",
            "after",
            models.CharField(blank=True, db_default="", default="", max_length=80),
        ),
        migrations.AddField(
            "bookswalk",
            "rest_until",
            models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
        ),
        migrations.AlterField("bookswalk", "found", models.JSONField(default=dict, db_default={})),
        migrations.AlterField("bookswalk", "broken", models.JSONField(default=dict, db_default={})),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveField("bookswalk", "found"),
                migrations.RemoveField("bookswalk", "broken"),
            ]
        ),
    ]
