"""Counted traffic of channels, models and provider keys."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from lib.database.unowned_rows import UnownedRows


class TrafficCursor(models.Model):
    """How far the traffic is counted: the database `snapshot` of the last run.

    Records from before `since` are not counted, because a restored dump contains transaction ids of
    another server.
    """

    unowned_rows = UnownedRows("closed", "Counts the traffic of all.")

    id = models.SmallIntegerField(primary_key=True, default=1)
    snapshot = models.TextField()
    since = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_traffic_cursor")]

    def __str__(self) -> str:
        return f"counted to {self.snapshot}"


class TrafficTotal(models.Model):
    """One counter of `/metrics` since the start of the installation. It only grows.

    `value` is a count, or a sum of milliseconds or of nano-USD, depending on `family`. `counts` are
    those of a histogram: how many observations were at most each bound. `id` gives the order of
    creation.
    """

    unowned_rows = UnownedRows("closed", "Sums over all organisations.")

    id = models.BigAutoField(primary_key=True)
    family = models.CharField(max_length=16)
    labels = ArrayField(models.CharField(max_length=200))
    value = models.BigIntegerField()
    counts = ArrayField(models.BigIntegerField(), default=list)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["family", "labels"], name="one_total_for_labels")
        ]

    def __str__(self) -> str:
        return f"{self.family} {self.labels}"


class TrafficBucket(models.Model):
    """The attempts and requests that ended in five minutes, for one channel (or none) and one model
    or pattern of models.

    `attempts` and `failed` count for the channel. `requests` and `failed_requests` count for the
    model: of a request with several attempts, only the last one counts. `first_tokens` are how many
    answers began within each bound of `gateway/health/traffic.py`. `output_tokens` were written in
    `writing_ms`. `answers` took `first_token_ms` until their first content and `answer_ms` in
    total. Of their `input_tokens`, `cached_tokens` came from a cache."""

    unowned_rows = UnownedRows("closed", "Sums over all organisations.")

    pk = models.CompositePrimaryKey("bucket_at", "channel_id", "model")
    bucket_at = models.DateTimeField()
    channel_id = models.UUIDField(help_text="the nil id = refused before any channel")
    model = models.CharField(max_length=200)
    attempts = models.BigIntegerField()
    failed = models.BigIntegerField()
    requests = models.BigIntegerField()
    failed_requests = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    writing_ms = models.BigIntegerField()
    answers = models.BigIntegerField(default=0, db_default=0)
    first_token_ms = models.BigIntegerField(default=0, db_default=0)
    answer_ms = models.BigIntegerField(default=0, db_default=0)
    input_tokens = models.BigIntegerField(default=0, db_default=0)
    cached_tokens = models.BigIntegerField(default=0, db_default=0)
    first_tokens = ArrayField(models.BigIntegerField())

    def __str__(self) -> str:
        return f"{self.model} at {self.bucket_at}"


class KeyTrafficBucket(models.Model):
    """The attempts that ended in five minutes, for one channel and the provider key with the id
    `channel_key` (in old rows, the key's ending). The rest is as in a TrafficBucket."""

    unowned_rows = UnownedRows("closed", "Sums over all organisations.")

    pk = models.CompositePrimaryKey("bucket_at", "channel_id", "channel_key")
    bucket_at = models.DateTimeField()
    channel_id = models.UUIDField()
    channel_key = models.CharField(max_length=36)
    attempts = models.BigIntegerField()
    failed = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    writing_ms = models.BigIntegerField()
    first_tokens = ArrayField(models.BigIntegerField())

    def __str__(self) -> str:
        return f"{self.channel_key} at {self.bucket_at}"


class ChannelKeyUse(models.Model):
    """When the last attempt with a provider key ended, as far as the traffic is counted."""

    unowned_rows = UnownedRows("closed", "When the installation's keys were used.")

    key_id = models.UUIDField(primary_key=True)
    used_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.key_id} at {self.used_at}"


class ChannelSpend(models.Model):
    """The cost of a channel's attempts that ended on a day of the installation's zone, as far as
    the traffic is counted. It only grows."""

    unowned_rows = UnownedRows("closed", "Sums over all organisations.")

    pk = models.CompositePrimaryKey("channel_id", "day")
    channel_id = models.UUIDField()
    day = models.DateField()
    cost_nano = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.cost_nano} on {self.day}"
