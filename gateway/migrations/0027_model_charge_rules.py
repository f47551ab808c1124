from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0026_key_traffic")]

    operations = [
        migrations.AddField(
            model_name="modelrule",
            name="charge_rule",
            field=models.JSONField(
                blank=True,
                db_default=models.Value({}, output_field=models.JSONField()),
                default=dict,
            ),
        ),
    ]
