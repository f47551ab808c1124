"""Media tasks beside videos: the provider's own word for a state, which their clients read."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0032_traffic_by_key")]

    operations = [
        migrations.AddField(
            model_name="mediatask",
            name="provider_state",
            field=models.CharField(blank=True, db_default="", default="", max_length=20),
        ),
    ]
