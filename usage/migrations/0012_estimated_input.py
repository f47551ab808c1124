"""What an attempt may have cost is estimated by the size of its request, where nobody can count."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("usage", "0011_reviews")]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="input_estimate",
            field=models.IntegerField(
                db_default=0,
                help_text="Tokens by its size: what it may have cost where nobody can count.",
            ),
        ),
    ]
