"""An index of the entries of a session. It is built for one partition after the other without a
lock, because writers of entries must not wait for it."""

from typing import Any

from django.db import migrations, models

from lib.database.concurrent_indexes import build_index

_COLUMNS = "(session_id, created_at DESC) WHERE NOT session_id IS NULL"


def build(apps: Any, schema_editor: Any) -> None:
    build_index("content_entry", "entry_by_session", _COLUMNS, "session")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("accounts", "0030_sign_up_captcha"),
        ("content", "0003_prompts"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(build, migrations.RunPython.noop)],
            state_operations=[
                migrations.AddIndex(
                    model_name="entry",
                    index=models.Index(
                        condition=models.Q(("session_id", None), _negated=True),
                        fields=["session_id", "-created_at"],
                        name="entry_by_session",
                    ),
                ),
            ],
        ),
    ]
