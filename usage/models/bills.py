"""Bills of providers: how they are read, and where they differ from our records."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from lib.database.unowned_rows import UnownedRows
from lib.ids import new_id


class BillMatch(models.TextChoices):
    """How the lines of a provider's bill are matched with our records."""

    REQUEST = "request", _("Request ID")
    DAY = "day", _("Day and model")


class BillMapping(models.Model):
    """How a provider's bills are read: the names of the columns, and the tolerance."""

    unowned_rows = UnownedRows("closed", "Bills of providers are the operators'.")

    provider = models.CharField(primary_key=True, max_length=40)
    match = models.CharField(max_length=7, choices=BillMatch.choices, default=BillMatch.DAY)
    request_column = models.CharField(max_length=120, blank=True, default="")
    day_column = models.CharField(max_length=120, blank=True, default="")
    model_column = models.CharField(max_length=120, blank=True, default="")
    amount_column = models.CharField(max_length=120, blank=True, default="")
    tolerance_nano = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return self.provider


class ProviderBill(models.Model):
    """A compared bill of a provider. Its file is not stored, only the differences are."""

    unowned_rows = UnownedRows("closed", "Bills of providers are the operators'.")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.CharField(max_length=40)
    file_name = models.CharField(max_length=200)
    match = models.CharField(max_length=7, choices=BillMatch.choices)
    first_on = models.DateField()
    last_on = models.DateField()
    channel_ids = ArrayField(models.UUIDField())
    tolerance_nano = models.BigIntegerField()
    lines = models.IntegerField()
    billed_nano = models.BigIntegerField()
    ours_nano = models.BigIntegerField()
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")

    def __str__(self) -> str:
        return f"{self.provider} {self.first_on} to {self.last_on}"


class DifferenceKind(models.TextChoices):
    DIFFERS = "differs", _("Amounts differ")
    NOT_RECORDED = "not_recorded", _("Not in our records")
    NOT_BILLED = "not_billed", _("Not on the bill")


class BillDifference(models.Model):
    """A line that only the bill or only our records have, or whose amounts differ. It is open until
    an operator settles it."""

    unowned_rows = UnownedRows("closed", "Bills of providers are the operators'.")

    id = models.BigAutoField(primary_key=True)
    bill = models.ForeignKey(ProviderBill, models.CASCADE, related_name="differences")
    n = models.IntegerField()
    kind = models.CharField(max_length=12, choices=DifferenceKind.choices)
    request_id = models.UUIDField(null=True)
    day = models.DateField(null=True)
    model = models.CharField(max_length=200, blank=True, default="")
    billed_nano = models.BigIntegerField()
    ours_nano = models.BigIntegerField()
    note = models.CharField(max_length=500, blank=True, default="")
    settled_at = models.DateTimeField(null=True)
    settled_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["bill", "n"], name="difference_once")]

    def __str__(self) -> str:
        return f"{self.n} of {self.bill_id}"
