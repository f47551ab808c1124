from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0026_organisation_charge_rules")]

    operations = [
        migrations.CreateModel(
            name="BooksWalk",
            fields=[
                ("name", models.CharField(max_length=8, primary_key=True, serialize=False)),
                ("to_at", models.DateTimeField(null=True)),
                ("began_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("found", models.JSONField(default=dict)),
                ("broken", models.JSONField(default=dict)),
                ("unfinished", models.JSONField(default=list)),
            ],
        ),
        migrations.CreateModel(
            name="CheckedSum",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "walk",
                        "kind",
                        "subject_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("walk", models.CharField(max_length=8)),
                ("kind", models.CharField(max_length=8)),
                ("subject_id", models.BigIntegerField()),
                ("nano", models.BigIntegerField()),
            ],
        ),
    ]
