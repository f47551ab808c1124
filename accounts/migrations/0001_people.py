"""People. Tables of other packages refer to them, and our next migration refers to these."""

from django.db import migrations, models
from django.db.models.functions import Lower, Now

REPLACED = [
    "0001_squashed_0004_limits",
]

TABLES = [
    migrations.CreateModel(
        name="User",
        fields=[
            (
                "id",
                models.BigAutoField(
                    auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                ),
            ),
            ("password", models.CharField(max_length=128, verbose_name="password")),
            ("last_login", models.DateTimeField(blank=True, null=True, verbose_name="last login")),
            ("email", models.EmailField(max_length=254, unique=True)),
            ("name", models.CharField(blank=True, default="", max_length=120)),
            ("operator", models.BooleanField(default=False, help_text="Runs the installation.")),
            ("is_active", models.BooleanField(default=True)),
            ("language", models.CharField(blank=True, default="", max_length=10)),
            ("theme", models.CharField(blank=True, default="", max_length=8)),
            ("created_at", models.DateTimeField(db_default=Now())),
            (
                "erased_at",
                models.DateTimeField(
                    blank=True, help_text="When all that names the person was erased.", null=True
                ),
            ),
        ],
        options={
            "constraints": [models.UniqueConstraint(Lower("email"), name="user_email_once")],
        },
    ),
]


class Migration(migrations.Migration):
    initial = True

    replaces = [("accounts", name) for name in REPLACED]

    dependencies = []

    operations = TABLES
