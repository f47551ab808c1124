import django.contrib.postgres.fields
from django.db import migrations, models


def fields(model: str) -> list[migrations.AddField]:
    return [
        migrations.AddField(
            model_name=model,
            name="zero_retention",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Requests go only to providers that keep no data of them.",
            ),
        ),
        migrations.AddField(
            model_name=model,
            name="data_regions",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=40),
                blank=True,
                db_default=[],
                default=list,
                help_text="Requests go only to channels in one of these regions; none = any.",
                size=None,
            ),
        ),
    ]


class Migration(migrations.Migration):
    dependencies = [("accounts", "0018_secret_use")]

    operations = [*fields("organisation"), *fields("key")]
