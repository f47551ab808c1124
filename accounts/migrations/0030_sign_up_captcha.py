from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0029_audit_by_time")]

    operations = [
        migrations.AddField(
            model_name="signupsetting",
            name="captcha",
            field=models.BooleanField(db_default=True, default=True),
        ),
    ]
