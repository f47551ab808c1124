"""How far ClickHouse has the records."""

from django.db import models

from lib.database.unowned_rows import UnownedRows
from usage.sinks.cursor import SinkCursor


class ClickHouseCursor(SinkCursor):
    """The progress of sending records to ClickHouse. It has no admissions before `whole_from`;
    null: it has all from the beginning. ClickHouse stores `fill` and `batches` too, and is filled
    again if they differ.
    """

    unowned_rows = UnownedRows("read_only", "One row for the installation.")

    schema = models.SmallIntegerField(default=0)
    whole_from = models.DateTimeField(null=True)

    class Meta:
        # The migrations of usage have made it.
        db_table = "usage_clickhousecursor"
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_clickhouse")]
