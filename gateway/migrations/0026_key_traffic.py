import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("gateway", "0025_model_listings"),
    ]

    operations = [
        migrations.CreateModel(
            name="KeyTrafficBucket",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "bucket_at",
                        "channel_id",
                        "channel_key",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("bucket_at", models.DateTimeField()),
                ("channel_id", models.UUIDField()),
                ("channel_key", models.CharField(max_length=4)),
                ("attempts", models.BigIntegerField()),
                ("failed", models.BigIntegerField()),
                ("output_tokens", models.BigIntegerField()),
                ("writing_ms", models.BigIntegerField()),
                (
                    "first_tokens",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), size=None
                    ),
                ),
            ],
        ),
    ]
