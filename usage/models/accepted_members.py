"""Members of usage that operators count as free."""

from django.db import models
from django.db.models.functions import Now


class AcceptedMember(models.Model):
    """A member of usage that is missing from this version's tables, and that an operator counts as
    free in a provider's answers until the entry is revoked. `wire` is the table that it is missing
    from (`dialects/usage/usage_members.py`)."""

    provider = models.CharField(max_length=60)
    wire = models.CharField(max_length=12)
    member = models.CharField(max_length=80)
    reason = models.CharField(max_length=500)
    accepted_by = models.ForeignKey("accounts.User", models.PROTECT, related_name="+")
    accepted_at = models.DateTimeField(db_default=Now())
    revoked_by = models.ForeignKey("accounts.User", models.PROTECT, null=True, related_name="+")
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "wire", "member"],
                condition=models.Q(revoked_at=None),
                name="one_accepted_member",
            )
        ]

    def __str__(self) -> str:
        return f"{self.member} of {self.provider}"
