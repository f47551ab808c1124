"""The index by time contains what a search filters by. It is built for one partition after another
without a lock, because writers of entries must not wait for it. Until it is complete, lists of the
content log are slower."""

from typing import Any

from django.db import migrations, models

from lib.database.concurrent_indexes import build_index

# Not the new one of an interrupted migration.
_DROP_FORMER = """
    DO $$ BEGIN
        IF (SELECT indnatts = indnkeyatts FROM pg_index
            WHERE indexrelid = to_regclass('entry_by_time')) THEN
            DROP INDEX entry_by_time;
        END IF;
    END $$"""
_FILTERS = (
    "drop_at",
    "request_id",
    "expires_at",
    "team_id",
    "key_id",
    "user_id",
    "session_id",
    "model",
    "status",
    "content_bytes",
)
_COLUMNS = f"(organisation_id, created_at DESC) INCLUDE ({', '.join(_FILTERS)})"


def build(apps: Any, schema_editor: Any) -> None:
    build_index("content_entry", "entry_by_time", _COLUMNS, "time")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("content", "0004_entry_by_session")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(_DROP_FORMER, migrations.RunSQL.noop),
                migrations.RunPython(build, migrations.RunPython.noop),
            ],
            state_operations=[
                migrations.RemoveIndex(model_name="entry", name="entry_by_time"),
                migrations.AddIndex(
                    model_name="entry",
                    index=models.Index(
                        fields=["organisation", "-created_at"],
                        include=_FILTERS,
                        name="entry_by_time",
                    ),
                ),
            ],
        ),
    ]
