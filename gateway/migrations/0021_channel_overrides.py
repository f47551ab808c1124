from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0020_picks")]

    operations = [
        migrations.AddField(
            model_name="channel",
            name="overrides",
            field=models.JSONField(
                db_default=models.Value({}, output_field=models.JSONField()),
                default=dict,
                help_text="What it changes of requests (gateway/overrides/rules.py).",
            ),
        ),
    ]
