from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("gateway", "0044_pass_through"),
    ]

    operations = [
        migrations.AddField(
            model_name="mediatask",
            name="own_key",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Whether that key is one of its organisation's own.",
            ),
        ),
    ]
