"""Saved views of pages, and the reports of them that are sent by email."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from lib.ids import new_id


class ViewPage(models.TextChoices):
    """The pages whose filters can be saved, by the names of their routes."""

    USAGE = "usage", _("Usage")
    EXPLORE = "explore", _("Explore usage")
    REQUESTS = "requests", _("Requests")


class SavedView(models.Model):
    """The filters, grouping and columns of a page under a name; a person's own or shared with the
    organisation."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.CASCADE, related_name="+")
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="+")
    page = models.CharField(max_length=8, choices=ViewPage.choices)
    name = models.CharField(max_length=80)
    query = models.TextField(blank=True, help_text="Of the page's address.")
    shared = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "user", "page", "name"], name="view_named_once"
            )
        ]

    def __str__(self) -> str:
        return self.name


class ReportSchedule(models.Model):
    """When a saved view is sent by email: each Monday or each 1st of a month, by the clock of a
    time zone."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    view = models.OneToOneField(SavedView, models.CASCADE, related_name="schedule")
    every = models.CharField(max_length=5, help_text="week or month")
    hour = models.SmallIntegerField()
    zone = models.CharField(max_length=60)
    due_at = models.DateTimeField(db_index=True)
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.every} {self.hour}:00 {self.zone}"


class ReportReceiver(models.Model):
    """A person who receives the report of a schedule, until they unsubscribe."""

    id = models.BigAutoField(primary_key=True)
    schedule = models.ForeignKey(
        ReportSchedule, models.CASCADE, related_name="receivers", db_index=False
    )
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["schedule", "user"], name="report_received_once")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} of {self.schedule_id}"
