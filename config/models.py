"""How the background jobs fare."""

from django.db import models
from django.db.models.functions import Now


class JobRun(models.Model):
    """The last run of one background job of `job_times.py`, and its last good one.

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
