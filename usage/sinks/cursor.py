"""How far a sink of usage has the records."""

from django.db import models

from lib.ids import new_id


class SinkCursor(models.Model):
    """The progress of sending records to a sink, in its one row. The sink has all that `snapshot`
    sees, and all admissions up to `complete_to` (null until the first fill is complete).

    A round sends, in batches, what `target` sees and `snapshot` does not, and has reached
    `after_*`; without a snapshot it sends everything. `batches` is the number sent in this `fill`.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    fill = models.UUIDField(default=new_id)
    batches = models.BigIntegerField(default=0)
    snapshot = models.TextField(default="")
    target = models.TextField(default="")
    target_to = models.DateTimeField(null=True)
    after_xid = models.BigIntegerField(null=True)
    after_organisation = models.UUIDField(null=True)
    after_id = models.UUIDField(null=True)
    complete_to = models.DateTimeField(null=True)
    error = models.CharField(max_length=200, default="", help_text="Of the last run; none if good.")

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"complete to {self.complete_to}"

    @classmethod
    def has_sent(cls) -> bool:
        """Return whether anything was sent to the sink."""
        return cls._default_manager.exclude(batches=0, snapshot="").exists()
