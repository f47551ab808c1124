"""An attempt's row says which name the request asked for, where another model answers."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("usage", "0021_why_a_channel")]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="asked_model",
            field=models.CharField(
                db_default="",
                help_text="The name that was asked for, where it is another one than the model's.",
                max_length=200,
            ),
        ),
    ]
