"""Records keep how they were priced where that is not their meters at the rates of their version:
the parts and conditions of the charge, and what of the usage nobody has classified (P28)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("usage", "0062_findings")]

    operations = [
        migrations.AddField(
            model_name="usagerecord",
            name="pricing",
            field=models.JSONField(
                null=True,
                help_text="Its parts and conditions where it is not its meters at the rates of its"
                " version, and what of its usage is not classified.",
            ),
        ),
        migrations.AlterField(
            model_name="review",
            name="settle_as",
            field=models.CharField(
                max_length=6,
                choices=[
                    ("amount", "A specific amount"),
                    ("bound", "The reserved amount"),
                    ("free", "Free of charge"),
                    ("count", "What is known of its count"),
                ],
            ),
        ),
    ]
