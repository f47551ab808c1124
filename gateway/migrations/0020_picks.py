from django.db import migrations, models


def count(name: str) -> migrations.AddField:
    field = models.BigIntegerField(db_default=0, default=0)
    return migrations.AddField(model_name="trafficbucket", name=name, field=field)


class Migration(migrations.Migration):
    dependencies = [("gateway", "0019_channel_conditions")]

    operations = [
        migrations.AddField(
            model_name="modelrule",
            name="pick",
            field=models.CharField(db_default="weight", default="weight", max_length=12),
        ),
        *map(
            count,
            ("answers", "first_token_ms", "answer_ms", "input_tokens", "cached_tokens"),
        ),
    ]
