from django.db import migrations, models

SLUG = "The slug of the saved prompt that it used."


class Migration(migrations.Migration):
    dependencies = [("usage", "0072_feedback")]

    operations = [
        migrations.AddField(
            "attempt", "prompt", models.CharField(help_text=SLUG, max_length=60, null=True)
        ),
        migrations.AddField("attempt", "prompt_version", models.IntegerField(null=True)),
        migrations.AddField(
            "usagerecord", "prompt", models.CharField(help_text=SLUG, max_length=60, null=True)
        ),
        migrations.AddField("usagerecord", "prompt_version", models.IntegerField(null=True)),
        migrations.AddField("feedback", "prompt", models.CharField(db_default="", max_length=60)),
        migrations.AddField("feedback", "prompt_version", models.IntegerField(null=True)),
    ]
