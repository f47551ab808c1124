"""The progress of the checks of the books."""

from django.db import models
from django.db.models.functions import Now

from lib.database.unowned_rows import UnownedRows


class BooksWalk(models.Model):
    """The progress of one check of stored rows. `usage/books/walk.py` and
    `usage/books/full_walk.py` name the walks.

    A walk over spans of time has checked everything before `to_at`; other walks store in `after`
    the last row that they have read. `began_at` and `ended_at` are of its last complete pass. It
    pauses until `rest_until`. `unfinished` lists the checks that did not end in time.
    """

    unowned_rows = UnownedRows("closed", "The books of all.")

    name = models.CharField(primary_key=True, max_length=8)
    to_at = models.DateTimeField(null=True)
    after = models.CharField(max_length=80, blank=True, default="", db_default="")
    began_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    rest_until = models.DateTimeField(db_default=Now())
    unfinished = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"{self.name} to {self.to_at}"

    @property
    def has_ended(self) -> bool:
        """Return whether the latest pass is complete."""
        return self.ended_at is not None and (
            self.began_at is None or self.ended_at >= self.began_at
        )


class CheckedSum(models.Model):
    """A walk's sum so far for one account or budget window."""

    unowned_rows = UnownedRows("closed", "Sums over the books of all.")

    pk = models.CompositePrimaryKey("walk", "kind", "subject_id")
    walk = models.CharField(max_length=8)
    kind = models.CharField(max_length=8)
    subject_id = models.BigIntegerField()
    nano = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.nano} of {self.kind} {self.subject_id}"
