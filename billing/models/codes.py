"""Redemption codes."""

from django.db import models
from django.db.models.functions import Now

from billing.models.promo import PromoGrant
from lib.ids import new_id


class CodeBatch(models.Model):
    """Codes of one value. They are created and shown in one download; their texts are not
    stored."""

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

    id = models.BigAutoField(primary_key=True)
    subject = models.CharField(max_length=80)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["subject", "at"], name="redeem_tries")]

    def __str__(self) -> str:
        return self.subject
