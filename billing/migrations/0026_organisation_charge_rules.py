import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0019_data_policy"), ("billing", "0025_channel_limits")]

    operations = [
        migrations.CreateModel(
            name="OrganisationChargeRule",
            fields=[
                (
                    "organisation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="accounts.organisation",
                    ),
                ),
                ("rule", models.JSONField()),
            ],
        ),
    ]
