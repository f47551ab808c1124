"""The currency that an organisation sees amounts in beside USD."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0020_client_address_days"),
    ]

    operations = [
        migrations.AddField(
            model_name="organisation",
            name="display_currency",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Pages show amounts in it too, beside the currency of the books; "
                "empty = none.",
                max_length=3,
            ),
        ),
    ]
