from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0006_route_can")]

    operations = [
        migrations.AddField(
            model_name="channel",
            name="uncapped",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Its provider is known to ignore output caps.",
            ),
        ),
    ]
