"""Decisions of operators: on attempts with a doubtful count, and on members of usage that count as
free."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from lib.database.unowned_rows import UnownedRows


class SettleAs(models.TextChoices):
    AMOUNT = "amount", _("A specific amount")
    BOUND = "bound", _("The reserved amount")
    FREE = "free", _("Free of charge")
    COUNT = "count", _("What is known of its count")


class Review(models.Model):
    """An operator's only decision on an attempt with a doubtful count; the primary key prevents a
    second one. The customer had paid `before_nano` for it, and has paid `charge_nano` since."""

    attempt_id = models.UUIDField(primary_key=True)
    organisation_id = models.UUIDField()
    request_id = models.UUIDField()
    settle_as = models.CharField(max_length=6, choices=SettleAs.choices)
    before_nano = models.BigIntegerField()
    charge_nano = models.BigIntegerField()
    reason = models.CharField(max_length=500)
    decided_by = models.ForeignKey("accounts.User", models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(charge_nano__gte=0), name="review_charge_not_negative"
            )
        ]

    def __str__(self) -> str:
        return f"{self.attempt_id} as {self.settle_as}"


class AcceptedMember(models.Model):
    """A member of usage that is missing from this version's tables, and that an operator counts as
    free in a provider's answers until the entry is revoked. `wire` is the table that it is missing
    from (`dialects/usage/usage_members.py`)."""

    unowned_rows = UnownedRows("closed", "What operators count as free of a provider's usage.")

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
