"""Indexes of records with the newest last, which are read backwards: with the newest first, each
page was split in the middle and stayed half empty. Those by person hold the records of persons.

Each month's index is built beside those who write, and only then joined to that of the table.
"""

from django.db import connection, migrations

_INDEXES = {
    "model": ("model, id", "final"),
    "key": ("key_id, id", "final"),
    "person": ("user_id, id", "final AND user_id IS NOT NULL"),
    "charge": ("charge_nano, id", "final"),
}
_BEFORE = {
    "model": ("model, id DESC", "final"),
    "key": ("key_id, id DESC", "final"),
    "person": ("user_id, id DESC", "final"),
    "charge": ("charge_nano DESC, id DESC", "final"),
}
_MONTHS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass"
_STATE = """
    SELECT indisvalid, EXISTS (SELECT FROM pg_inherits WHERE inhrelid = indexrelid)
    FROM pg_index WHERE indexrelid = to_regclass(%s)"""


def build(apps: object, schema_editor: object) -> None:
    _build("of", _INDEXES)
    _drop("by")


def take_back(apps: object, schema_editor: object) -> None:
    _build("by", _BEFORE)
    _drop("of")


def _build(word: str, indexes: dict[str, tuple[str, str]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_MONTHS, ["usage_usagerecord"])
        months = [name for (name,) in cursor.fetchall()]
        for name, (columns, condition) in indexes.items():
            index = f"record_{word}_{name}"
            indexed = f"(organisation_id, {columns}) WHERE {condition}"
            cursor.execute(
                f"CREATE INDEX IF NOT EXISTS {index} ON ONLY usage_usagerecord {indexed}"
            )
            for month in months:
                own = f"{month}_{word}_{name}"
                cursor.execute(_STATE, [own])
                valid, joined = cursor.fetchone() or (None, False)
                if valid is False:  # left by a build that was cut off
                    cursor.execute(f"DROP INDEX CONCURRENTLY {own}")
                if not valid:
                    cursor.execute(f"CREATE INDEX CONCURRENTLY {own} ON {month} {indexed}")
                if not joined:
                    cursor.execute(f"ALTER INDEX {index} ATTACH PARTITION {own}")


def _drop(word: str) -> None:
    with connection.cursor() as cursor:
        for name in _INDEXES:
            cursor.execute(f"DROP INDEX IF EXISTS record_{word}_{name}")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("usage", "0024_records_that_were_stopped")]

    operations = [migrations.RunPython(build, take_back)]
