"""How the background jobs fare."""

from django.db import models
from django.db.models.functions import Now


class JobRun(models.Model):
    """The last run of one background job of `config/jobs/schedule.py`, and its last good one.

    `expected_at` is since when somebody has looked for its runs without a pause: before that
    nobody could miss one. `error` is the class of what ended the last run, without its words, which
    may hold a customer's.
    """

    task = models.CharField(primary_key=True, max_length=100)
    expected_at = models.DateTimeField(db_default=Now())
    began_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=100, default="", db_default="")
    good_at = models.DateTimeField(null=True)
    told_at = models.DateTimeField(null=True, help_text="When operators were told that it is late.")

    def __str__(self) -> str:
        return self.task


class ImportedRow(models.Model):
    """What was made of one row of another hub's database, so that it is made once.

    `source` names that database, `table` and `row` say where it stands there, `made` is the id of
    what was made here. `fingerprint` tells a key from another database's of the same id.
    """

    source = models.CharField(max_length=60)
    table = models.CharField(max_length=60)
    row = models.CharField(max_length=500)
    made = models.CharField(max_length=60)
    fingerprint = models.CharField(max_length=16, default="", db_default="")
    imported_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "table", "row"], name="row_imported_once")
        ]

    def __str__(self) -> str:
        return f"{self.source}: {self.table} {self.row}"
