"""Money: accounts with their ledger, holds, prices with dates. All amounts are int64 nano units.

Postings, entries and holds are written for every request; they carry no foreign key constraints,
each of which would lock a shared row. The invariants (promises.md) prove what these would.
"""

from django.db import models
from django.db.models.functions import Now

from lib.ids import new_id


class AccountKind(models.TextChoices):
    AVAILABLE = "customer:available"
    HELD = "customer:held"
    DEBT = "customer:debt"
    REVENUE = "revenue"
    LOSS = "platform:loss"
    OPENING = "equity:opening"


class Account(models.Model):
    """A ledger account of one organisation. The balance is the sum of its entries (I3)."""

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    kind = models.CharField(max_length=24, choices=AccountKind.choices)
    currency = models.CharField(max_length=3, default="USD")
    balance_nano = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "kind", "currency"], name="account_once"
            ),
            # I4: an overdraft is impossible in the database, not only in code.
            models.CheckConstraint(
                condition=~models.Q(kind__in=["customer:available", "customer:held"])
                | models.Q(balance_nano__gte=0),
                name="customer_balance_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.organisation_id}"


class Posting(models.Model):
    """A balanced set of entries with one idempotency id. Append-only by trigger (I2)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    idempotency_id = models.CharField(max_length=120, unique=True)
    kind = models.CharField(max_length=24)
    organisation = models.ForeignKey(
        "accounts.Organisation", models.PROTECT, related_name="+", db_constraint=False
    )
    cause = models.JSONField(default=dict)
    actor = models.CharField(max_length=80, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["organisation", "-id"], name="posting_by_organisation")]

    def __str__(self) -> str:
        return self.idempotency_id


class LedgerEntry(models.Model):
    """One line of a posting. Append-only by trigger (I2)."""

    id = models.BigAutoField(primary_key=True)
    posting = models.ForeignKey(
        Posting, models.PROTECT, related_name="entries", db_constraint=False
    )
    account = models.ForeignKey(
        Account, models.PROTECT, related_name="entries", db_constraint=False
    )
    amount_nano = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.amount_nano} on {self.account_id}"


class HoldState(models.TextChoices):
    OPEN = "open"
    SETTLED = "settled"
    VOIDED = "voided"
    EXPIRED = "expired"


class Hold(models.Model):
    """Money moved from available to held at admission; its id is the attempt's (I5, I6)."""

    id = models.UUIDField(primary_key=True)
    organisation = models.ForeignKey(
        "accounts.Organisation", models.PROTECT, related_name="+", db_constraint=False
    )
    amount_nano = models.BigIntegerField()
    state = models.CharField(max_length=8, choices=HoldState.choices, default=HoldState.OPEN)
    opened_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(amount_nano__gte=0), name="hold_not_negative")
        ]
        indexes = [
            models.Index(fields=["expires_at"], condition=models.Q(state="open"), name="open_holds")
        ]

    def __str__(self) -> str:
        return f"{self.amount_nano} {self.state}"


class Price(models.Model):
    """What one model name, or a pattern of names, is charged at; its versions carry the rates."""

    id = models.BigAutoField(primary_key=True)
    model = models.CharField(max_length=200, unique=True)

    def __str__(self) -> str:
        return self.model


class PriceVersion(models.Model):
    """Rates with dates: {meter: integer nano per million units}. Immutable once used (I11).

    The versions of one price never overlap: an exclusion constraint in the migration.
    """

    id = models.BigAutoField(primary_key=True)
    price = models.ForeignKey(Price, models.PROTECT, related_name="versions")
    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField(null=True, blank=True)
    rates = models.JSONField()
    source = models.CharField(max_length=60)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["valid_from"]

    def __str__(self) -> str:
        return f"{self.price_id} from {self.valid_from}"
