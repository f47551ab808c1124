"""Months whose rows are in files, and these files."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from lib.database.unowned_rows import UnownedRows


class DetachedMonth(models.Model):
    """A month whose holds, attempts and records are in a file (usage/months/detaching.py). Their
    ids are from `first_id` to before `end_id`. They were admitted on the UTC days from `from_at` to
    before `to_at`, whose rollups stay. They refer to `price_version_ids`."""

    unowned_rows = UnownedRows("read_only", "The months are the same for all.")

    month = models.DateField(primary_key=True)
    first_id = models.UUIDField()
    end_id = models.UUIDField()
    from_at = models.DateTimeField()
    to_at = models.DateTimeField()
    price_version_ids = ArrayField(models.BigIntegerField())
    detached_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"


class MonthFile(models.Model):
    """The file of a detached month, and the sums that replace its rows in the books. `sums` are
    [[kind, id of the account or window, nano], …] with the kinds of `invariants.SUMS`, `rolled` are
    the sums of its days' rollups, [[organisation, requests, nano], …]. `digest` is the digest of
    the file; `signature` is Weir's signature over the file's data and the month's row."""

    unowned_rows = UnownedRows("closed", "Sums over all organisations.")

    month = models.OneToOneField(
        DetachedMonth, models.CASCADE, primary_key=True, related_name="file"
    )
    name = models.CharField(max_length=255)
    bytes = models.BigIntegerField()
    digest = models.BinaryField()
    rows = models.JSONField(help_text="By the table.")
    sums = models.JSONField()
    rolled = models.JSONField()
    signature = models.BinaryField()

    def __str__(self) -> str:
        return self.name
