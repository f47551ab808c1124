from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("playground", "0014_refused_prompts")]

    operations = [
        migrations.AlterField(
            model_name="preference",
            name="title_model",
            field=models.CharField(default="*", max_length=200),
        ),
    ]
