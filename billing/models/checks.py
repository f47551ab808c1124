"""How far the books were checked."""

from django.db import models


class BooksWalk(models.Model):
    """A walk through the books, span by span (usage/books_walk.py): `new` goes on with what was
    written since, `whole` begins anew each day.

    Everything before `to_at` was looked at. `found` is what is wrong in it, {invariant: [row, …]};
    of a whole walk that ended, `broken` is. `unfinished` is what the last check did not get to.
    """

    name = models.CharField(primary_key=True, max_length=8)
    to_at = models.DateTimeField(null=True)
    began_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    found = models.JSONField(default=dict)
    broken = models.JSONField(default=dict)
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
