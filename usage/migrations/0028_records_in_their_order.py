"""Indexes of records with the newest last, which are read backwards: with the newest first, each
page was split in the middle and stayed half empty. Those by person hold the records of persons."""

from django.db import connection, migrations

from lib.database.partition_indexes import build_index

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


def build(apps: object, schema_editor: object) -> None:
    _build("of", _INDEXES)
    _drop("by")


def take_back(apps: object, schema_editor: object) -> None:
    _build("by", _BEFORE)
    _drop("of")


def _build(word: str, indexes: dict[str, tuple[str, str]]) -> None:
    for name, (columns, condition) in indexes.items():
        indexed = f"(organisation_id, {columns}) WHERE {condition}"
        build_index("usage_usagerecord", f"record_{word}_{name}", indexed)


def _drop(word: str) -> None:
    with connection.cursor() as cursor:
        for name in _INDEXES:
            cursor.execute(f"DROP INDEX IF EXISTS record_{word}_{name}")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("usage", "0027_provider_bills")]

    operations = [migrations.RunPython(build, take_back)]
