"""How far ClickHouse has the records."""

from django.db import models

from lib.database.unowned_rows import UnownedRows
from lib.ids import new_id


class ClickHouseCursor(models.Model):
    """The progress of sending records to ClickHouse. ClickHouse has all that `snapshot` sees, and
    all admissions between `whole_from` (null: from the beginning) and `complete_to` (null until the
    first fill is complete).

    A round sends, in batches, what `target` sees and `snapshot` does not, and has reached
    `after_*`; without a snapshot it sends everything. `batches` is the number sent in this `fill`.
    ClickHouse stores both numbers too, and is filled again if they differ.
    """

    unowned_rows = UnownedRows("read_only", "One row for the installation.")

    id = models.SmallIntegerField(primary_key=True, default=1)
    schema = models.SmallIntegerField(default=0)
    fill = models.UUIDField(default=new_id)
    batches = models.BigIntegerField(default=0)
    snapshot = models.TextField(default="")
    target = models.TextField(default="")
    target_to = models.DateTimeField(null=True)
    after_xid = models.BigIntegerField(null=True)
    after_organisation = models.UUIDField(null=True)
    after_id = models.UUIDField(null=True)
    whole_from = models.DateTimeField(null=True)
    complete_to = models.DateTimeField(null=True)
    error = models.CharField(max_length=200, default="", help_text="Of the last run; none if good.")

    class Meta:
        # The migrations of usage have made it.
        db_table = "usage_clickhousecursor"
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_clickhouse")]

    def __str__(self) -> str:
        return f"complete to {self.complete_to}"
