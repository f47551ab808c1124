"""Corrections of a balance by operators."""

from django.db import models
from django.db.models.functions import Now

from billing.models.ledger import Posting
from lib.ids import id_text, new_id


class CreditKind(models.TextChoices):
    CASH = "cash"
    PROMO = "promo"


class CreditState(models.TextChoices):
    WAITING = "waiting"
    POSTED = "posted"
    REFUSED = "refused"


class Credit(models.Model):
    """A correction of a balance by an operator. Above a limit, a second operator must approve it.

    An `amount_nano` below 0 takes money away. A reversal refers to the posting that it undoes (I2).
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    amount_nano = models.BigIntegerField()
    kind = models.CharField(max_length=5, choices=CreditKind.choices, default=CreditKind.CASH)
    expires_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=500)
    document = models.CharField(max_length=200, blank=True, default="")
    reverses = models.ForeignKey(
        Posting, models.PROTECT, null=True, related_name="+", db_constraint=False, db_index=False
    )
    state = models.CharField(max_length=7, choices=CreditState.choices)
    asked_by = models.ForeignKey("accounts.User", models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(db_default=Now())
    decided_by = models.ForeignKey("accounts.User", models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(decided_by=models.F("asked_by")), name="second_person"
            ),
            models.CheckConstraint(condition=~models.Q(amount_nano=0), name="credit_not_zero"),
            models.UniqueConstraint(
                fields=["reverses"], condition=~models.Q(state="refused"), name="reversed_once"
            ),
        ]
        indexes = [
            models.Index(
                fields=["-id"], condition=models.Q(state="waiting"), name="credits_waiting"
            )
        ]

    def __str__(self) -> str:
        return f"{self.amount_nano} {self.state}"

    @property
    def outer_id(self) -> str:
        return id_text(self.id)
