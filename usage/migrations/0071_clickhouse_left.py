from django.db import migrations


class Migration(migrations.Migration):
    """The table stays, and belongs to `extensions/clickhouse`, also where that is switched off."""

    dependencies = [("usage", "0070_sums_of_minutes")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.DeleteModel("ClickHouseCursor")]
        ),
    ]
