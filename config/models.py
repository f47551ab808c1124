"""Models of background jobs and imports."""

from django.db import models
from django.db.models.functions import Now

from lib.database.unowned_rows import UnownedRows


class JobRun(models.Model):
    """The last run of a background job in `config/jobs/schedule.py`, and its last successful one.

    `expected_at` is the start of the uninterrupted time in which runs were checked. `error` is the
    class of the last error, without its message, which may contain customer data.
    """

    unowned_rows = UnownedRows("closed", "The installation's jobs.")

    task = models.CharField(primary_key=True, max_length=100)
    expected_at = models.DateTimeField(db_default=Now())
    began_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=100, default="", db_default="")
    good_at = models.DateTimeField(null=True)
    bytes = models.BigIntegerField(null=True, help_text="The size of the last good backup.")
    told_at = models.DateTimeField(null=True, help_text="When operators were told that it is late.")

    def __str__(self) -> str:
        return self.task


class ProcessReport(models.Model):
    """What a process of the installation last reported (config/processes/processes.py).

    Null means that its system does not provide the figure. `connections`, `in_flight` and
    `loop_lag_us` are figures of web processes. `cpu_percent` is the share of one core since the
    report before.
    """

    unowned_rows = UnownedRows("closed", "The installation's processes.")

    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    role = models.CharField(max_length=20)
    version = models.CharField(max_length=40)
    reported_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    cpu_ms = models.BigIntegerField()
    cpu_percent = models.IntegerField(null=True)
    resident_bytes = models.BigIntegerField(null=True)
    open_fds = models.IntegerField(null=True)
    max_fds = models.BigIntegerField(null=True)
    connections = models.IntegerField(null=True)
    in_flight = models.IntegerField(null=True)
    loop_lag_us = models.BigIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["host", "pid"], name="process_reported_once")
        ]

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


class ImportedRow(models.Model):
    """A row of another hub's database that was imported. It prevents a second import of the same
    row.

    `source` identifies the database, `table` and `row` the row, and `made` is the id created here.
    `fingerprint` distinguishes keys of different databases with the same id.
    """

    unowned_rows = UnownedRows("closed", "What operators brought over from another hub.")

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
