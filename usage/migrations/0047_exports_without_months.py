from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("usage", "0046_late_for_detached_months")]

    operations = [
        migrations.AddField(
            model_name="export",
            name="detached_months",
            field=models.JSONField(
                null=True,
                help_text="Such as 2026-09: those that it lacks, for they were detached.",
            ),
        ),
    ]
