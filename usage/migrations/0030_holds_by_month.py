"""Holds are partitioned by month like the attempts whose ids they have (docs/adr/0019)."""

from django.db import migrations

from lib.database.partition_split import split_by_month
from usage.months.partitions import ensure_at_migration


def split(apps: object, schema_editor: object) -> None:
    split_by_month("billing_hold")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("usage", "0029_key_of_an_attempt"),
        ("billing", "0039_postings_in_their_order"),
    ]

    # Not taken back: an older version works with them.
    operations = [
        migrations.RunPython(split, migrations.RunPython.noop),
        migrations.RunPython(ensure_at_migration, migrations.RunPython.noop),
    ]
