from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("usage", "0051_chart_notes")]

    operations = [
        migrations.AlterField(
            model_name="export",
            name="form",
            field=models.CharField(help_text="A form of file, or focus.", max_length=8),
        ),
    ]
