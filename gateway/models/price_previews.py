"""Previews of price changes: usage priced again at drafts."""

from django.db import models
from django.db.models.functions import Now

from lib.database.unowned_rows import UnownedRows
from lib.ids import new_id


class PreviewState(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class PricePreview(models.Model):
    """Past usage priced again at drafts: a job with progress, and its result.

    `drafts` are a copy of the previewed drafts: [{key…, rates}]. `place` and `sums` are the
    progress, `result` is what the page shows.
    """

    unowned_rows = UnownedRows("closed", "Sums over all organisations.")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    drafts = models.JSONField()
    start_at = models.DateTimeField()
    end_at = models.DateTimeField()
    state = models.CharField(
        max_length=9, choices=PreviewState.choices, default=PreviewState.QUEUED
    )
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True)
    place = models.JSONField(default=dict)
    sums = models.JSONField(default=dict)
    result = models.JSONField(null=True)
    message = models.CharField(max_length=300, blank=True, default="")
    made_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["id"],
                condition=models.Q(state__in=["queued", "running"]),
                name="unfinished_previews",
            )
        ]

    def __str__(self) -> str:
        return f"{self.state} {self.done} of {self.total}"
