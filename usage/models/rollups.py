"""Sums of records by quarter hour, hour and day, and how far they are complete.

Like the records (records.py), they have no foreign key constraints.
"""

from typing import Any

from django.db import models

from lib.database.unowned_rows import UnownedRows


class HistogramField(models.Field):  # type: ignore[type-arg]
    """A number as in `usage/rollups/histograms.py`, of any length."""

    def db_type(self, connection: Any) -> str:
        return "numeric"


class _Sums(models.Model):
    pk = models.CompositePrimaryKey(
        "organisation_id", "bucket_at", "team_id", "key_id", "user_id", "model", "channel_id"
    )
    organisation = models.ForeignKey(
        "accounts.Organisation",
        models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    bucket_at = models.DateTimeField()
    team_id = models.UUIDField()
    key_id = models.UUIDField()
    user_id = models.BigIntegerField(help_text="0 = nobody's key")
    model = models.CharField(max_length=200)
    channel_id = models.UUIDField(help_text="the nil id = refused before any channel")
    channel_name = models.CharField(max_length=120, default="")
    requests = models.BigIntegerField()
    errors = models.BigIntegerField()
    meters = models.JSONField()
    charge_nano = models.BigIntegerField()
    total_histogram = HistogramField(null=True)
    ttft_histogram = HistogramField(null=True)
    timed_tokens = models.BigIntegerField(null=True)
    timed_ms = models.BigIntegerField(null=True)
    saved_nano = models.BigIntegerField(null=True)
    own_nano = models.BigIntegerField(null=True)

    class Meta:
        abstract = True


class Rollup(_Sums):
    """Sums of the records admitted in one quarter hour; replaced, never incremented (I16).

    The histograms are of the durations of answered requests, 0 without any, and null in older rows
    until these are rebuilt. The answers took `timed_ms` between their first and last output token,
    for `timed_tokens`. `saved_nano` is null if a record has none, `own_nano` if no record has any.
    """

    def __str__(self) -> str:
        return f"{self.model} at {self.bucket_at}"


class MinuteRollup(_Sums):
    """Sums of the records admitted in one minute of the last quarters, from which these are summed.
    Only `usage/rollups/rollups.py` reads them."""

    def __str__(self) -> str:
        return f"{self.model} in the minute {self.bucket_at}"


class _CoarseRollup(_Sums):
    """Like a `Rollup`, over a longer time. The most common meters are columns, null if none was
    counted, and `meters` has the others."""

    in_text = models.BigIntegerField(null=True)
    in_cache_read = models.BigIntegerField(null=True)
    out_text = models.BigIntegerField(null=True)
    out_reasoning = models.BigIntegerField(null=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.model} from {self.bucket_at}"


class HourRollup(_CoarseRollup):
    """Sums of the rollups of one hour of UTC."""


class DayRollup(_CoarseRollup):
    """Sums of the rollups of one day of UTC."""


class RollupWatermark(models.Model):
    """How far the rollups are complete: they include transactions before `xid`, and all requests
    admitted before `complete_to`.

    Sums of hours, and of past days, exist before `levels_to`, the end of an hour. Sums of minutes
    exist from `minutes_from` on, the start of a quarter. null means that there are none yet.
    """

    unowned_rows = UnownedRows("read_only", "One row for the installation.")

    id = models.SmallIntegerField(primary_key=True, default=1)
    xid = models.BigIntegerField(default=0)
    complete_to = models.DateTimeField(null=True)
    levels_to = models.DateTimeField(null=True)
    minutes_from = models.DateTimeField(null=True)
    rest_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_watermark")]

    def __str__(self) -> str:
        return f"complete to {self.complete_to}"
