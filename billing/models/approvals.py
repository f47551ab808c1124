"""Changes that need a second person, before and after that person's decision."""

from django.db import models
from django.db.models.functions import Now

from lib.database.unowned_rows import UnownedRows
from lib.ids import id_text, new_id


class ApprovalState(models.TextChoices):
    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class Approval(models.Model):
    """A change that one person has asked for and that another one decides.

    `kind` names a `Kind` of `billing/approvals`, `subject` is the id of what changes, and `about`
    its name. `changes` are [{name, before, after}] of text or null. A withdrawn change was taken
    back, or another change of the same subject took its place.
    """

    unowned_rows = UnownedRows("closed", "What needs a second operator.")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    kind = models.CharField(max_length=20)
    subject = models.CharField(max_length=60)
    organisation = models.ForeignKey(
        "accounts.Organisation", models.PROTECT, null=True, related_name="+"
    )
    about = models.CharField(max_length=200)
    changes = models.JSONField()
    reason = models.CharField(max_length=500, blank=True, default="")
    state = models.CharField(
        max_length=9, choices=ApprovalState.choices, default=ApprovalState.WAITING
    )
    asked_by = models.ForeignKey("accounts.User", models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(db_default=Now())
    decided_by = models.ForeignKey("accounts.User", models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    answer = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        constraints = [
            # The database itself requires two persons.
            models.CheckConstraint(
                condition=~models.Q(state="approved")
                | models.Q(decided_by__isnull=False) & ~models.Q(decided_by=models.F("asked_by")),
                name="approved_by_another",
            ),
            models.UniqueConstraint(
                fields=["kind", "subject"],
                condition=models.Q(state="waiting"),
                name="approval_waits_once",
            ),
        ]
        indexes = [models.Index(fields=["kind", "subject", "-id"], name="approvals_of_subject")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.about}: {self.state}"

    @property
    def outer_id(self) -> str:
        return id_text(self.id)
