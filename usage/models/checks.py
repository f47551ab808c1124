"""Findings of the checks of the books."""

from django.db import models
from django.db.models.functions import Now

from lib.database.unowned_rows import UnownedRows


class BooksCheck(models.Model):
    """The last check of the books. `broken` is what was wrong at that time: {invariant: [object,
    …]}.

    The pause after a check is in proportion to its duration.
    """

    unowned_rows = UnownedRows("closed", "The books of all.")

    id = models.SmallIntegerField(primary_key=True, default=1)
    ran_at = models.DateTimeField(db_default=Now())
    took_ms = models.IntegerField(default=0)
    broken = models.JSONField(default=dict)
    rest_until = models.DateTimeField(db_default=Now())
    # The time since when checks are paused because the database's migrations differ from the
    # worker's.
    aside_since = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_books_check")]

    def __str__(self) -> str:
        return f"{len(self.broken)} broken at {self.ran_at}"


class Finding(models.Model):
    """A row that violates an invariant. It stays listed until an operator acknowledges it, even if
    the row is corrected.

    `object` identifies the row by the ids of its key. `expected` and `found` are empty if the
    invariant does not compare two figures. `walk` is the check that decides whether it still
    `holds`.
    """

    unowned_rows = UnownedRows("closed", "The books of all.")

    invariant = models.CharField(max_length=200)
    object = models.CharField(max_length=300)
    expected = models.CharField(max_length=200, blank=True)
    found = models.CharField(max_length=200, blank=True)
    walk = models.CharField(max_length=8)
    first_seen_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())
    holds = models.BooleanField(default=True)
    told_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.ForeignKey(
        "accounts.User", models.SET_NULL, null=True, related_name="+"
    )
    # The name of the operator, kept after the person or the key is gone.
    acknowledged_as = models.CharField(max_length=254, blank=True)
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["invariant", "object"],
                condition=models.Q(acknowledged_at=None),
                name="one_open_finding",
            )
        ]

    def __str__(self) -> str:
        return f"{self.invariant}: {self.object}"
