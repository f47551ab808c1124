"""Long lists as files that a worker creates, and the pieces of these files."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from lib.ids import new_id


class ExportState(models.TextChoices):
    QUEUED = "queued", _("Waiting")
    RUNNING = "running", _("Running")
    DONE = "done", _("Ready")
    FAILED = "failed", _("Failed")


class Export(models.Model):
    """A long list as a file that a worker creates: the request, its progress, and how long the file
    is kept.

    `query` is that of the page's address, as of `created_at`. `reach` is its creator's access at
    that time; readers with less access cannot download it. A worker holds it until `taken_until`.
    `takes` counts the workers, and only the pieces of the last one form the file.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.CASCADE, related_name="+")
    user = models.ForeignKey("accounts.User", models.CASCADE, null=True, related_name="+")
    key = models.ForeignKey("accounts.Key", models.CASCADE, null=True, related_name="+")
    form = models.CharField(max_length=8, help_text="A form of file, or focus.")
    query = models.TextField()
    language = models.CharField(max_length=16)
    reach = models.JSONField(default=list)
    state = models.CharField(max_length=8, choices=ExportState.choices, default=ExportState.QUEUED)
    done = models.BigIntegerField(default=0, help_text="Rows that were read.")
    total = models.BigIntegerField(null=True, help_text="About how many there are, if known.")
    size = models.BigIntegerField(default=0, help_text="Bytes of the file.")
    detached_months = models.JSONField(
        null=True, help_text="Such as 2026-09: those that it lacks, for they were detached."
    )
    message = models.CharField(max_length=300, blank=True, default="")
    takes = models.IntegerField(default=0)
    taken_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["id"],
                condition=models.Q(state__in=["queued", "running"]),
                name="unfinished_exports",
            ),
            models.Index(fields=["organisation", "user", "-id"], name="exports_of_people"),
        ]

    def __str__(self) -> str:
        return f"{self.form} {self.state}"


class ExportPiece(models.Model):
    """A piece of the file of an export. The file consists of the last worker's pieces in their
    order."""

    id = models.BigAutoField(primary_key=True)
    export = models.ForeignKey(Export, models.CASCADE, related_name="pieces", db_index=False)
    take = models.IntegerField()
    n = models.IntegerField()
    data = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["export", "take", "n"], name="export_piece_once")
        ]

    def __str__(self) -> str:
        return f"{self.n} of {self.export_id}"
