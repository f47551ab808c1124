"""Which limited channel a hold takes a place of, found without reading all holds."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("billing", "0024_plans_of_teams_and_members")]

    operations = [
        migrations.AddField(
            model_name="hold", name="leased_channel_id", field=models.UUIDField(null=True)
        ),
        AddIndexConcurrently(
            model_name="hold",
            index=models.Index(
                condition=models.Q(("leased_channel_id__isnull", False), ("state", "open")),
                fields=["leased_channel_id"],
                name="open_holds_of_channel",
            ),
        ),
    ]
