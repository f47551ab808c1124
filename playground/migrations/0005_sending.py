from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("playground", "0004_shortcuts")]

    operations = [
        migrations.AddField(
            model_name="preference",
            name="enter_sends",
            field=models.BooleanField(db_default=True, default=True),
        ),
    ]
