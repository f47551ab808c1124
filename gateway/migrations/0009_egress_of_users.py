import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0008_channel_names_client")]

    operations = [
        migrations.AddField(
            model_name="installationsetting",
            name="egress_allow_users",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=50),
                blank=True,
                db_default=[],
                default=list,
                size=None,
            ),
        ),
    ]
