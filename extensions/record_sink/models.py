"""How far the record sink has the records, and the entries of the content log."""

from django.db import models

from lib.database.unowned_rows import UnownedRows
from usage.sinks.cursor import SinkCursor


class ReceiverCursor(SinkCursor):
    """The progress of sending to the receiver whose address has the digest `receiver`. Another one
    is sent everything from the first."""

    receiver = models.CharField(max_length=64, default="")

    class Meta:
        abstract = True


class RecordSinkCursor(ReceiverCursor):
    """The progress of sending usage records."""

    unowned_rows = UnownedRows("read_only", "One row for the installation.")

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_record_sink")]


class ContentSinkCursor(ReceiverCursor):
    """The progress of sending what the content log keeps."""

    unowned_rows = UnownedRows("read_only", "One row for the installation.")

    expired = models.BigIntegerField(
        default=0, help_text="The entries that expired before they were sent."
    )

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_content_sink")]
