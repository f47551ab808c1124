from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("playground", "0017_deleted_chats")]

    operations = [
        migrations.AlterField(
            model_name="mediarun",
            name="kind",
            field=models.CharField(max_length=16),
        ),
    ]
