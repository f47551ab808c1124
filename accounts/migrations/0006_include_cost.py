from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_limits_of_all")]

    operations = [
        migrations.AddField(
            model_name="organisation",
            name="include_cost",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Answers tell their charge without being asked.",
            ),
        ),
    ]
