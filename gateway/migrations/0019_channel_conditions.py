from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0018_model_aliases")]

    operations = [
        migrations.AddField(
            model_name="channel",
            name="conditions",
            field=models.JSONField(
                db_default=models.Value({}, output_field=models.JSONField()),
                default=dict,
                help_text="Which requests it is for: gateway/overrides/condition_rules.py.",
            ),
        ),
        migrations.AddField(
            model_name="channel",
            name="zero_retention",
            field=models.BooleanField(
                db_default=False, default=False, help_text="Its provider keeps no data of requests."
            ),
        ),
        migrations.AddField(
            model_name="channel",
            name="region",
            field=models.CharField(
                db_default="", default="", help_text="Where it is; empty: not known.", max_length=40
            ),
        ),
    ]
