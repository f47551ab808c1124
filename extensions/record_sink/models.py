"""How far the record sink has the records."""

from django.db import models

from lib.database.unowned_rows import UnownedRows
from usage.sinks.cursor import SinkCursor


class RecordSinkCursor(SinkCursor):
    """The progress of sending records to the record sink. `receiver` is the digest of its address;
    another address is sent all records from the first."""

    unowned_rows = UnownedRows("read_only", "One row for the installation.")

    receiver = models.CharField(max_length=64, default="")

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_record_sink")]
