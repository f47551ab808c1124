from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0017_model_rules")]

    operations = [
        migrations.CreateModel(
            name="ModelAlias",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=200, unique=True)),
                ("target", models.CharField(max_length=200)),
            ],
            options={"ordering": ["name"]},
        ),
    ]
