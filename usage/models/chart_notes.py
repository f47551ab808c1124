"""Notes on charts of usage."""

from django.db import models
from django.db.models.functions import Now

from lib.ids import new_id


class ChartNote(models.Model):
    """A note about a moment for the charts of usage: for a team or, without one, for the whole
    organisation."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.CASCADE, related_name="+")
    team = models.ForeignKey("accounts.Team", models.CASCADE, null=True, related_name="+")
    at = models.DateTimeField()
    text = models.CharField(max_length=200)
    user = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["at", "id"]
        indexes = [models.Index(fields=["organisation", "at"], name="notes_by_time")]

    def __str__(self) -> str:
        return self.text
