from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0007_uncapped_channels")]

    operations = [
        migrations.AddField(
            model_name="channel",
            name="names_client",
            field=models.BooleanField(
                db_default=True,
                default=True,
                help_text="Its provider hears the user agents of clients.",
            ),
        ),
    ]
