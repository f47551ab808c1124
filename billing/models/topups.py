"""Top-ups, the events of processors about payments, and automatic top-ups."""

from django.db import models
from django.db.models.functions import Now

from lib.ids import id_text, new_id


class TopUpState(models.TextChoices):
    ORDERED = "ordered"
    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class TopUp(models.Model):
    """An order to put money on a balance, and the state of its payment.

    `checkout_id` is the processor's object that we created for the order, `payment_id` its paid
    object, which is credited once (I21). For a bank transfer, `payment_id` is the bank's reference,
    entered by the first operator. `state` does not include refunds and disputes; they are sums of
    their own.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    processor = models.CharField(max_length=12)
    live = models.BooleanField(help_text="Real money, not the processor's test mode.")
    amount_nano = models.BigIntegerField()
    currency = models.CharField(max_length=3, default="USD")
    automatic = models.BooleanField(default=False)
    keep_card = models.BooleanField(default=False)
    state = models.CharField(max_length=9, choices=TopUpState.choices, default=TopUpState.ORDERED)
    checkout_id = models.CharField(max_length=120, blank=True, default="")
    checkout_url = models.TextField(blank=True, default="")
    payment_id = models.CharField(max_length=120, blank=True, default="")
    refunded_nano = models.BigIntegerField(default=0)
    disputed_nano = models.BigIntegerField(default=0)
    created_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    paid_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["processor", "payment_id"],
                condition=~models.Q(payment_id=""),
                name="payment_once",
            ),
            models.UniqueConstraint(
                fields=["organisation"],
                condition=models.Q(automatic=True, state__in=["ordered", "pending"]),
                name="one_automatic_top_up",
            ),
            models.CheckConstraint(
                condition=models.Q(amount_nano__gt=0, refunded_nano__gte=0)
                & models.Q(refunded_nano__lte=models.F("amount_nano")),
                name="top_up_amounts",
            ),
        ]
        indexes = [models.Index(fields=["organisation", "-id"], name="top_ups_of_organisation")]

    def __str__(self) -> str:
        return f"{self.amount_nano} {self.state}"

    @property
    def outer_id(self) -> str:
        return id_text(self.id)

    @property
    def returned_nano(self) -> int:
        """Return the amount that went back to the payer, by refunds and by the bank."""
        return self.refunded_nano + self.disputed_nano


class EventVerdict(models.TextChoices):
    APPLIED = "applied"
    WAITING = "waiting"
    REFUSED = "refused"


class ProcessorEvent(models.Model):
    """A verified event of a processor; each of its events is stored once.

    A `waiting` event arrived before the payment that it is about. A `refused` event matches no
    top-up; `reason` says why.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    processor = models.CharField(max_length=12)
    event_id = models.CharField(max_length=120)
    kind = models.CharField(max_length=12)
    payment_id = models.CharField(max_length=120, blank=True, default="")
    told = models.JSONField()
    top_up = models.ForeignKey(TopUp, models.PROTECT, null=True, related_name="events")
    verdict = models.CharField(max_length=8, choices=EventVerdict.choices)
    reason = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["processor", "event_id"], name="event_once")]
        indexes = [
            models.Index(
                fields=["processor", "payment_id"],
                condition=models.Q(verdict="waiting"),
                name="events_waiting",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.verdict}"


class WalletSetting(models.Model):
    """An organisation's low-balance alert and automatic top-up."""

    organisation = models.OneToOneField(
        "accounts.Organisation", models.CASCADE, primary_key=True, related_name="+"
    )
    low_nano = models.BigIntegerField(null=True, blank=True)
    low_told_at = models.DateTimeField(null=True)
    auto_enabled = models.BooleanField(default=False)
    auto_below_nano = models.BigIntegerField(default=10_000_000_000)
    auto_amount_nano = models.BigIntegerField(default=50_000_000_000)
    processor = models.CharField(max_length=12, blank=True, default="")
    customer_ref = models.CharField(
        max_length=120, blank=True, default="", help_text="Whom the processor keeps the card for."
    )

    def __str__(self) -> str:
        return f"of {self.organisation_id}"
