"""Promotional credit."""

from django.db import models
from django.db.models.functions import Now

from billing.rules.funding import Pool
from lib.ids import new_id


class PromoGrant(models.Model):
    """Money that was given: spendable at once, consumed before cash, gone when it expires (I20).

    Of a subscription, `charge` is what paid for it: it is the usage that a plan includes. It stands
    inside `customer:available`; what is left of all grants stands on `promo:available`.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    amount_nano = models.BigIntegerField()
    consumed_nano = models.BigIntegerField(default=0)
    expired_nano = models.BigIntegerField(default=0)
    expires_at = models.DateTimeField(null=True, blank=True)
    source = models.CharField(max_length=120, help_text="The idempotency id of its posting.")
    charge = models.ForeignKey(
        "billing.SubscriptionCharge", models.PROTECT, null=True, related_name="grants"
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(consumed_nano__gte=0)
                & models.Q(expired_nano__gte=0)
                & models.Q(amount_nano__gte=models.F("consumed_nano") + models.F("expired_nano")),
                name="promo_never_exceeded",
            )
        ]
        indexes = [
            models.Index(
                fields=["organisation", "expires_at"],
                condition=models.Q(
                    amount_nano__gt=models.F("consumed_nano") + models.F("expired_nano")
                ),
                name="promo_left",
            )
        ]

    def __str__(self) -> str:
        return f"{self.remaining_nano} of {self.amount_nano}"

    @property
    def pool(self) -> Pool:
        return "promo" if self.charge_id is None else "included"

    @property
    def remaining_nano(self) -> int:
        return self.amount_nano - self.consumed_nano - self.expired_nano


class PromoMark(models.Model):
    """Up to which ledger entry an organisation's spending was counted against its grants, and
    when."""

    organisation = models.OneToOneField(
        "accounts.Organisation", models.CASCADE, primary_key=True, related_name="+"
    )
    entry_id = models.BigIntegerField()
    counted_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return str(self.entry_id)
