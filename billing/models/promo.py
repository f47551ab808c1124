"""Promotional credit, and the spending that it has paid."""

from django.db import models
from django.db.models.functions import Now

from billing.ledger.funding import Pool
from lib.ids import new_id


class PromoGrant(models.Model):
    """Granted money: spendable immediately, used before cash, and lost when it expires (I20).
    `charge` is the subscription charge that paid for included usage. The remaining amount is part
    of `customer:available`; the sum of all grants is on `promo:available`."""

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


class SpendingCount(models.Model):
    """One count of an organisation's spending against its grants. Of the charges after the ledger
    entry `from_entry` and before `entry`, included usage paid `included_nano` and promotional
    credit `promo_nano`. Nothing is written if nothing was spent."""

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(
        "accounts.Organisation", models.CASCADE, related_name="+", db_index=False
    )
    from_entry = models.BigIntegerField()
    entry = models.BigIntegerField()
    included_nano = models.BigIntegerField()
    promo_nano = models.BigIntegerField()
    # The time of the previous count. It narrows the search for postings, whose ids contain a time.
    since = models.DateTimeField(null=True)
    counted_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "entry"], name="spending_counted_once"),
            models.CheckConstraint(
                condition=models.Q(included_nano__gte=0, promo_nano__gte=0),
                name="spending_count_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.from_entry} to {self.entry} of {self.organisation_id}"


class PromoMark(models.Model):
    """The ledger entry up to which an organisation's spending was counted against its grants, and
    the time of that count."""

    organisation = models.OneToOneField(
        "accounts.Organisation", models.CASCADE, primary_key=True, related_name="+"
    )
    entry_id = models.BigIntegerField()
    counted_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return str(self.entry_id)
