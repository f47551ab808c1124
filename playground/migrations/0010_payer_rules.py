from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("playground", "0009_files_of_no_message")]

    operations = [
        migrations.AddField(
            model_name="organisationpreference",
            name="payer_rules",
            field=models.JSONField(db_default={}, default=dict),
        ),
    ]
