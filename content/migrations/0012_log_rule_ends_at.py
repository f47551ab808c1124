from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("content", "0011_policy_budgets")]

    operations = [
        migrations.AddField(
            model_name="logrule",
            name="ends_at",
            field=models.DateTimeField(help_text="From then on it does not apply.", null=True),
        ),
    ]
