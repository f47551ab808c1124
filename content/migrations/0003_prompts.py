import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Now

import lib.ids

PROMPT = migrations.CreateModel(
    name="Prompt",
    fields=[
        (
            "id",
            models.UUIDField(
                default=lib.ids.new_id, editable=False, primary_key=True, serialize=False
            ),
        ),
        ("slug", models.SlugField(max_length=60)),
        ("name", models.CharField(max_length=80)),
        ("shared", models.BooleanField(default=True)),
        ("labels", models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict)),
        ("created_at", models.DateTimeField(db_default=Now())),
        (
            "organisation",
            models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="accounts.organisation",
            ),
        ),
        (
            "user",
            models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
    ],
    options={
        "ordering": ["name", "id"],
        "constraints": [
            models.UniqueConstraint(fields=("organisation", "slug"), name="prompt_slug_once")
        ],
    },
)
VERSION = migrations.CreateModel(
    name="PromptVersion",
    fields=[
        (
            "id",
            models.UUIDField(
                default=lib.ids.new_id, editable=False, primary_key=True, serialize=False
            ),
        ),
        ("number", models.IntegerField()),
        ("model", models.CharField(max_length=200)),
        ("settings", models.JSONField()),
        ("note", models.CharField(default="", max_length=200)),
        ("created_at", models.DateTimeField(db_default=Now())),
        (
            "prompt",
            models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="versions",
                to="content.prompt",
            ),
        ),
        (
            "user",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
    ],
    options={
        "ordering": ["-number"],
        "constraints": [
            models.UniqueConstraint(fields=("prompt", "number"), name="prompt_version_once")
        ],
    },
)


class Migration(migrations.Migration):
    """The playground's migration 0019 makes the tables, out of its own. A later migration of them
    depends on that one."""

    dependencies = [
        ("accounts", "0030_sign_up_captcha"),
        ("content", "0002_policies"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [migrations.SeparateDatabaseAndState(state_operations=[PROMPT, VERSION])]
