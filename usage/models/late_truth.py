"""Late information about attempts whose holds were resolved, and about detached months."""

from django.db import models
from django.db.models.functions import Now


class TruthSource(models.TextChoices):
    LATE = "late"
    LOOK_UP = "look_up"


class LateTruth(models.Model):
    """Late information about an attempt after its hold was resolved (I7).

    A row of source `late` comes from the attempt's own process, which was believed dead, with its
    charge, and in `own_nano` with what the organisation pays its provider itself. A row of source
    `look_up` comes from the provider, asked by the attempt's id; `meters` are null until known, and
    the look-up is repeated at `ask_at`. Each row is posted once; `posted_at` is the time of the
    posting. `own_change_nano` is how much more budgets then count (below 0: less) for the
    organisation's payments to its provider, null for the installation's keys.
    """

    id = models.BigAutoField(primary_key=True)
    organisation_id = models.UUIDField()
    attempt_id = models.UUIDField()
    source = models.CharField(max_length=8, choices=TruthSource.choices)
    meters = models.JSONField(null=True)
    charge_nano = models.BigIntegerField(null=True)
    own_nano = models.BigIntegerField(null=True)
    raw_usage = models.JSONField(null=True)
    tries = models.SmallIntegerField(default=0)
    ask_at = models.DateTimeField(null=True)
    learnt_at = models.DateTimeField(db_default=Now())
    posted_at = models.DateTimeField(null=True)
    own_change_nano = models.BigIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["attempt_id", "source"], name="truth_told_once")
        ]
        indexes = [
            models.Index(
                fields=["id"],
                condition=models.Q(posted_at__isnull=True, meters__isnull=False),
                name="truth_to_post",
            ),
            models.Index(
                fields=["posted_at"],
                condition=models.Q(own_change_nano__isnull=False),
                name="truth_of_own_key",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source} of {self.attempt_id}"


class LateRecord(models.Model):
    """A record that arrived for a detached month, as its `row`. It is inserted when the month is
    attached again."""

    id = models.UUIDField(primary_key=True)
    organisation_id = models.UUIDField()
    row = models.JSONField()
    came_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"late {self.id}"
