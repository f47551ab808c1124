"""Records and their sums keep what cached input saved. What is there already has none: who reads
is told that it is not known."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("usage", "0047_exports_without_months")]

    operations = [
        migrations.AddField(
            model_name="usagerecord",
            name="saved_nano",
            field=models.BigIntegerField(
                null=True,
                help_text="What cached input saved; null in records of before it was counted.",
            ),
        ),
        *(
            migrations.AddField(
                model_name=model, name="saved_nano", field=models.BigIntegerField(null=True)
            )
            for model in ("rollup", "hourrollup", "dayrollup")
        ),
    ]
