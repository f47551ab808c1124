"""What the last check of the books found."""

from django.db import models
from django.db.models.functions import Now


class BooksCheck(models.Model):
    """The last run of the invariants over the whole books: {invariant: [row, …]} of what is wrong.

    It rests in proportion to how long it took.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    ran_at = models.DateTimeField(db_default=Now())
    took_ms = models.IntegerField(default=0)
    broken = models.JSONField(default=dict)
    rest_until = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_books_check")]

    def __str__(self) -> str:
        return f"{len(self.broken)} broken at {self.ran_at}"
