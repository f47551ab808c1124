import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0011_people")]

    operations = [
        migrations.AddField(
            model_name="secretcheck",
            name="kek_ids",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=8), db_default=[], size=None
            ),
        ),
        migrations.AddField(
            model_name="secretcheck",
            name="seal_key",
            field=models.BinaryField(null=True),
        ),
    ]
