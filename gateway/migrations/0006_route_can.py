from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0001_squashed_0005_public_models")]

    operations = [
        migrations.AddField(
            model_name="route",
            name="can",
            field=models.JSONField(
                db_default=models.Value({}, output_field=models.JSONField()),
                default=dict,
                help_text="What an operator knows better than the catalogue: capability -> on.",
            ),
        ),
    ]
