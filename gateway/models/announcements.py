"""Announcements by operators to everybody."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from lib.database.unowned_rows import UnownedRows
from lib.ids import id_text, new_id


class AnnouncementTone(models.TextChoices):
    INFO = "info", _("Information")
    WARN = "warn", _("Warning")
    BAD = "bad", _("Incident")


class Announcement(models.Model):
    """An announcement by operators: a banner on all pages between two instants, and a line of the
    status page."""

    unowned_rows = UnownedRows("read_only", "Told to everybody.")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    title = models.CharField(max_length=120)
    text = models.TextField(max_length=2000, blank=True, default="")
    tone = models.CharField(
        max_length=4, choices=AnnouncementTone.choices, default=AnnouncementTone.INFO
    )
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)
    made_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-starts_at"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ends_at=None) | models.Q(ends_at__gt=models.F("starts_at")),
                name="announcement_ends_after_its_start",
            )
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def public_id(self) -> str:
        """The announcement's id in addresses."""
        return id_text(self.id)


class AnnouncementDismissal(models.Model):
    """The banner of an announcement that a person has closed."""

    unowned_rows = UnownedRows("shared", "A person's own, in every organisation.")

    announcement = models.ForeignKey(Announcement, models.CASCADE, related_name="dismissals")
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["announcement", "user"], name="dismissed_once")
        ]

    def __str__(self) -> str:
        return f"{self.announcement_id} by {self.user_id}"
