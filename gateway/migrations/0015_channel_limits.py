from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0014_announcements")]

    operations = [
        migrations.AddField(
            model_name="channel",
            name="rpm",
            field=models.PositiveIntegerField(
                help_text="Null: no limit, as of the others.", null=True
            ),
        ),
        migrations.AddField(
            model_name="channel", name="tpm", field=models.PositiveIntegerField(null=True)
        ),
        migrations.AddField(
            model_name="channel", name="parallel", field=models.PositiveIntegerField(null=True)
        ),
    ]
