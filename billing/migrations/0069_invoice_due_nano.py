from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0068_policy_budgets")]

    operations = [
        migrations.AddField(
            model_name="invoice",
            name="due_nano",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
    ]
