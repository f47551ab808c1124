from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("gateway", "0012_traffic_snapshot"),
    ]

    operations = [
        migrations.CreateModel(
            name="ChannelReport",
            fields=[
                ("process_id", models.UUIDField(primary_key=True, serialize=False)),
                ("reported_at", models.DateTimeField()),
                ("epoch", models.BigIntegerField()),
                ("channels", models.JSONField()),
            ],
        ),
    ]
