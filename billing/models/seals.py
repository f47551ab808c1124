"""Seals over rows that are written once."""

from django.db import models
from django.db.models.functions import Now

from lib.database.unowned_rows import UnownedRows


class SealKind(models.TextChoices):
    LEDGER = "ledger"
    TRAIL = "trail"


class Seal(models.Model):
    """A seal over the rows of the ledger, or of the trail, from one instant to another; see
    `seals.py`."""

    unowned_rows = UnownedRows("closed", "Proves the books of all.")

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=8, choices=SealKind.choices)
    from_at = models.DateTimeField()
    to_at = models.DateTimeField()
    rows = models.BigIntegerField()
    digest = models.BinaryField()
    code = models.BinaryField()
    form = models.SmallIntegerField(
        help_text="Older forms say 2. It has no default, so that no older process seals in its own."
    )
    rewritten = models.BinaryField(
        null=True,
        help_text="Our signature where a person was erased from its rows: rows and digest are then "
        "those of what was left, the code is that of before.",
    )
    made_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "from_at"], name="sealed_once"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.to_at}"


class SealCut(models.Model):
    """The point up to which the oldest rows and their seals were deleted. `code` is the code of the
    last deleted seal, on which the next seal builds; `signature` is our signature of both."""

    unowned_rows = UnownedRows("closed", "Proves the books of all.")

    kind = models.CharField(primary_key=True, max_length=8, choices=SealKind.choices)
    until = models.DateTimeField()
    code = models.BinaryField()
    signature = models.BinaryField()

    def __str__(self) -> str:
        return f"{self.kind} until {self.until}"
