import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="JobRun",
            fields=[
                ("task", models.CharField(max_length=100, primary_key=True, serialize=False)),
                (
                    "expected_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("began_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("error", models.CharField(db_default="", default="", max_length=100)),
                ("good_at", models.DateTimeField(null=True)),
                (
                    "told_at",
                    models.DateTimeField(
                        help_text="When operators were told that it is late.", null=True
                    ),
                ),
            ],
        ),
    ]
