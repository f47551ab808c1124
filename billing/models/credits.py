"""Credit besides top-ups: corrections of a balance by operators, redemption codes, and promotional
credit with the spending that it has paid."""

from django.db import models
from django.db.models.functions import Now

from billing.ledger.funding import Pool
from billing.models.ledger import Posting
from lib.database.unowned_rows import UnownedRows
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

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~models.Q(amount_nano=0), name="credit_not_zero"),
            models.UniqueConstraint(
                fields=["reverses"], condition=~models.Q(state="refused"), name="reversed_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount_nano} {self.state}"

    @property
    def outer_id(self) -> str:
        return id_text(self.id)


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
            ),
            models.Index(
                fields=["expires_at"],
                condition=models.Q(
                    amount_nano__gt=models.F("consumed_nano") + models.F("expired_nano")
                ),
                name="promo_to_expire",
            ),
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


class CodeBatch(models.Model):
    """Codes of one value. They are created and shown in one download; their texts are not
    stored."""

    unowned_rows = UnownedRows("read_only", "A code is nobody's until it is redeemed.")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=120)
    value_nano = models.BigIntegerField()
    currency = models.CharField(max_length=3, default="USD")
    count = models.PositiveIntegerField()
    max_uses = models.PositiveIntegerField(default=1)
    expires_at = models.DateTimeField(null=True, blank=True)
    credit_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="How long the credit lives; none = for ever."
    )
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey("accounts.User", models.PROTECT, null=True, related_name="+")
    downloaded_at = models.DateTimeField(null=True)
    killed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(value_nano__gt=0), name="code_has_value")
        ]

    def __str__(self) -> str:
        return self.name


class Code(models.Model):
    """One redemption code; only a keyed digest of its text is stored."""

    unowned_rows = UnownedRows("shared", "A code is nobody's until it is redeemed.")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    batch = models.ForeignKey(CodeBatch, models.PROTECT, related_name="codes")
    digest = models.BinaryField(max_length=32, unique=True)
    uses = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.id)


class Redemption(models.Model):
    """One use of a code. An organisation can use a code once; unique indexes decide races (I22)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    code = models.ForeignKey(Code, models.PROTECT, related_name="redemptions")
    n = models.PositiveIntegerField()
    organisation = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    user = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    grant = models.OneToOneField(PromoGrant, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["code", "n"], name="use_of_code_once"),
            models.UniqueConstraint(fields=["code", "organisation"], name="code_once_per_wallet"),
        ]

    def __str__(self) -> str:
        return f"{self.code_id} by {self.organisation_id}"


class RedeemTry(models.Model):
    """An attempt to redeem a code that failed or has not ended yet. Each attempt has two rows: one
    for the user or key, one for the network."""

    unowned_rows = UnownedRows("shared", "Counts tries by who tried and from where.")

    id = models.BigAutoField(primary_key=True)
    subject = models.CharField(max_length=80)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["subject", "at"], name="redeem_tries")]

    def __str__(self) -> str:
        return self.subject
