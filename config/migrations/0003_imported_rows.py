import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("config", "0002_row_security")]

    operations = [
        migrations.CreateModel(
            name="ImportedRow",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("source", models.CharField(max_length=60)),
                ("table", models.CharField(max_length=60)),
                ("row", models.CharField(max_length=500)),
                ("made", models.CharField(max_length=60)),
                ("fingerprint", models.CharField(max_length=16, default="", db_default="")),
                (
                    "imported_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=["source", "table", "row"], name="row_imported_once"
                    )
                ],
            },
        ),
    ]
