"""How far the books were checked."""

from django.db import models
from django.db.models.functions import Now


class BooksWalk(models.Model):
    """How far one check of stored rows has come. `usage/books/walk.py` and
    `usage/books/full_walk.py` name the walks.

    A walk over spans of time has checked everything before `to_at`; other walks store in `after`
    the last row that they have read. `began_at` and `ended_at` are of the last time that it went
    through everything. It does not go on before `rest_until`. `unfinished` lists what could not be
    checked in time.
    """

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
        """Nothing is left of what began last."""
        return self.ended_at is not None and (
            self.began_at is None or self.ended_at >= self.began_at
        )


class CheckedSum(models.Model):
    """What a walk has summed so far of an account, or of a budget window."""

    pk = models.CompositePrimaryKey("walk", "kind", "subject_id")
    walk = models.CharField(max_length=8)
    kind = models.CharField(max_length=8)
    subject_id = models.BigIntegerField()
    nano = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.nano} of {self.kind} {self.subject_id}"
