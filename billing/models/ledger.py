"""The ledger: accounts, postings with their entries, and the stored days of statements.

Postings are written for every request. They have no foreign key constraints, because each would
lock a shared row. The invariants check what these would enforce (docs/promises.md, "Invariants").
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from lib.ids import new_id


class AccountKind(models.TextChoices):
    AVAILABLE = "customer:available"
    HELD = "customer:held"
    DEBT = "customer:debt"
    REVENUE = "revenue"
    LOSS = "platform:loss"
    PAYABLE = "provider:payable"
    COST = "provider:cost"
    OPENING = "equity:opening"
    ADJUSTMENT = "equity:adjustment"
    PROMO_ISSUED = "promo:issued"
    PROMO_AVAILABLE = "promo:available"
    PROMO_EARMARKED = "promo:earmarked"
    RECEIVED_STRIPE = "processor:received:stripe"
    RECEIVED_MANUAL = "processor:received:manual"
    CLEARING_STRIPE = "processor:clearing:stripe"
    CLEARING_MANUAL = "processor:clearing:manual"


class Account(models.Model):
    """A ledger account of one organisation. The balance is the sum of its entries (I3).

    `overdraft_nano` is the credit line of an organisation that pays later: how far the available
    balance may fall below 0.
    """

    id = models.BigAutoField(primary_key=True)
    # Each request pays for every index of this table. `account_once` begins with this column.
    organisation = models.ForeignKey(
        "accounts.Organisation", models.PROTECT, related_name="+", db_index=False
    )
    kind = models.CharField(max_length=32, choices=AccountKind.choices)
    currency = models.CharField(max_length=3, default="USD")
    balance_nano = models.BigIntegerField(default=0)
    overdraft_nano = models.BigIntegerField(default=0, db_default=0)
    guards = models.BigIntegerField(
        db_default=0, help_text="Counts the changes of the budgets that stand over this account."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "kind", "currency"], name="account_once"
            ),
            # I4: the database itself forbids more than the credit line.
            models.CheckConstraint(
                condition=~models.Q(kind__in=["customer:available", "customer:held"])
                | models.Q(balance_nano__gte=models.F("overdraft_nano") * -1),
                name="customer_balance_not_negative",
            ),
            models.CheckConstraint(
                condition=models.Q(overdraft_nano=0)
                | models.Q(kind="customer:available", overdraft_nano__gt=0),
                name="overdraft_of_available",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.organisation_id}"


LISTED_KINDS = (
    "opening", "adjust", "reverse", "redeem", "lapse", "topup", "refund", "dispute", "reinstate",
)  # fmt: skip
"""The kinds of postings that have their own line in a statement."""


class Posting(models.Model):
    """A balanced set of entries. Append-only by trigger (I2).

    Each posting is written once: the end of a hold by its `attempt_id` (I6), any other by its
    idempotency id (I8). Its entries are `amounts_nano` on `account_ids`, side by side; the database
    checks that they sum to 0 (I1). Older postings have `LedgerLine` rows instead; `LedgerEntry`
    reads both.

    The database assigns `entry_id`. It grows in the order in which an organisation's postings are
    written under the lock of its accounts.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    idempotency_id = models.CharField(max_length=120, null=True)  # noqa: DJ001 - nothing is no id
    attempt_id = models.UUIDField(null=True)
    kind = models.CharField(max_length=24)
    organisation = models.ForeignKey(
        "accounts.Organisation",
        models.PROTECT,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    cause = models.JSONField(default=dict)
    actor = models.CharField(max_length=80, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    account_ids = ArrayField(models.BigIntegerField(), null=True)
    amounts_nano = ArrayField(models.BigIntegerField(), null=True)
    entry_id = models.BigIntegerField(null=True)

    class Meta:
        # `unique=True` on the field would create a second index for LIKE.
        constraints = [models.UniqueConstraint(fields=["idempotency_id"], name="posting_once")]
        indexes = [
            # The index is ascending and is read backwards. New rows of a descending one would be
            # written into the middle of its pages.
            models.Index(fields=["organisation", "id"], name="posting_of_organisation"),
            # A small index: it leaves out the many postings of requests.
            models.Index(
                fields=["organisation", "-id"],
                condition=models.Q(kind__in=LISTED_KINDS),
                name="postings_listed",
            ),
        ]

    def __str__(self) -> str:
        return self.idempotency_id or f"{self.kind} of {self.attempt_id}"


class LedgerLine(models.Model):
    """One line of a posting from before postings stored their own lines. Append-only by trigger
    (I2)."""

    id = models.BigAutoField(primary_key=True)
    posting = models.ForeignKey(Posting, models.PROTECT, related_name="+", db_constraint=False)
    account = models.ForeignKey(Account, models.PROTECT, related_name="+", db_constraint=False)
    amount_nano = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.amount_nano} on {self.account_id}"


class LedgerEntry(models.Model):
    """One line of any posting: a view over the entries of postings and over `LedgerLine`, created
    by a migration. Filter by posting: a filter by account reads all postings."""

    pk = models.CompositePrimaryKey("posting_id", "account_id")
    id = models.BigIntegerField()
    posting = models.ForeignKey(
        Posting, models.DO_NOTHING, related_name="entries", db_constraint=False
    )
    account = models.ForeignKey(
        Account, models.DO_NOTHING, related_name="entries", db_constraint=False
    )
    amount_nano = models.BigIntegerField()

    class Meta:
        managed = False
        db_table = "billing_ledgerentry"

    def __str__(self) -> str:
        return f"{self.amount_nano} on {self.account_id}"


class StatementDay(models.Model):
    """An organisation's usage on one past day of UTC, as its statement shows it (I18)."""

    pk = models.CompositePrimaryKey("organisation_id", "day")
    organisation = models.ForeignKey(
        "accounts.Organisation", models.DO_NOTHING, related_name="+", db_constraint=False
    )
    day = models.DateField(db_index=True)
    requests = models.BigIntegerField()
    amount_nano = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.organisation_id} on {self.day}"
