"""Holds, the processes that place them, and the admissions of each second.

These rows are written for every request and have no foreign key constraints, like the ledger
(ledger.py).
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Cast, Now, NullIf

from lib.database.unowned_rows import UnownedRows


class HoldState(models.TextChoices):
    OPEN = "open"
    KEPT = "kept"
    SETTLED = "settled"
    VOIDED = "voided"
    EXPIRED = "expired"


class Process(models.Model):
    """A relay process that places holds. Every second it records that it is alive.

    A process that is late is suspected, and its holds are resolved some seconds later. A process
    that was only cut off from the database can thus still report that it is alive.
    """

    unowned_rows = UnownedRows("read_only", "The processes of the relay.")

    id = models.UUIDField(primary_key=True)
    alive_until = models.DateTimeField()
    suspected_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"alive until {self.alive_until}"


# A setting of the relay's connection, so that statements do not repeat the process for every hold.
_PROCESS = Cast(
    NullIf(
        models.Func(models.Value("weir.process"), models.Value(True), function="current_setting"),
        models.Value(""),
    ),
    models.UUIDField(),
)


class Hold(models.Model):
    """Money moved from available to held at admission; its id is the attempt's (I5, I6).

    The balances of both accounts show what is held; the ledger gets one posting when the hold ends.
    Older processes also post when they place one; then it is `posted`. `window_ids` are the budget
    windows in which it is held (I23). `rated_ids` are the organisation, team, member, key and
    channel whose tokens per minute it counts on, with `tokens`; `leased_*` are those whose
    concurrency limit it occupies until it is resolved. All are null where nothing is limited.

    `mark` are the meters of the attempt's last high-water mark; the provider counts at least as
    much. A hold whose process died is settled from it. `quota_ids` are the rows of included units
    of which it takes `quota_units`, in their order; `included_nano` is what these may pay of its
    charge in addition to `amount_nano`. `own_nano` is what the organisation may pay its provider
    itself, because the attempt uses its own key; null for any other. A hold is `kept` where no
    charge can be determined, until an operator decides (I14).
    """

    id = models.UUIDField(primary_key=True)
    organisation = models.ForeignKey(
        "accounts.Organisation",
        models.PROTECT,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    amount_nano = models.BigIntegerField()
    state = models.CharField(max_length=8, choices=HoldState.choices, default=HoldState.OPEN)
    opened_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)
    window_ids = ArrayField(models.BigIntegerField(), null=True)
    rated_ids = ArrayField(models.UUIDField(), null=True)
    tokens = models.BigIntegerField(null=True)
    leased_key_id = models.UUIDField(null=True)
    leased_team_id = models.UUIDField(null=True)
    leased_organisation_id = models.UUIDField(null=True)
    leased_member_id = models.UUIDField(null=True)
    leased_channel_id = models.UUIDField(null=True)
    process_id = models.UUIDField(null=True, db_default=_PROCESS)
    mark = models.JSONField(null=True)
    posted = models.BooleanField(db_default=True)
    included_nano = models.BigIntegerField(null=True)
    own_nano = models.BigIntegerField(null=True)
    quota_ids = ArrayField(models.BigIntegerField(), null=True)
    quota_units = ArrayField(models.BigIntegerField(), null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(amount_nano__gte=0), name="hold_not_negative"
            ),
            models.CheckConstraint(
                condition=models.Q(state="open", resolved_at=None)
                | (~models.Q(state="open") & models.Q(resolved_at__isnull=False)),
                name="hold_open_until_resolved",
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"], condition=models.Q(state="open"), name="open_holds"
            ),
            models.Index(
                fields=["leased_key_id"],
                condition=models.Q(state="open", leased_key_id__isnull=False),
                name="open_holds_of_key",
            ),
            models.Index(
                fields=["leased_team_id"],
                condition=models.Q(state="open", leased_team_id__isnull=False),
                name="open_holds_of_team",
            ),
            models.Index(
                fields=["leased_organisation_id"],
                condition=models.Q(state="open", leased_organisation_id__isnull=False),
                name="open_holds_of_organisation",
            ),
            models.Index(
                fields=["leased_member_id"],
                condition=models.Q(state="open", leased_member_id__isnull=False),
                name="open_holds_of_member",
            ),
            models.Index(
                fields=["leased_channel_id"],
                condition=models.Q(state="open", leased_channel_id__isnull=False),
                name="open_holds_of_channel",
            ),
            models.Index(
                fields=["organisation"], condition=models.Q(state="kept"), name="kept_holds"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount_nano} {self.state}"


class RateSecond(models.Model):
    """The admissions of one limited organisation, team, member, key or channel within one second of
    the database's clock. The last sixty seconds are its sliding minute; following admissions delete
    older rows. `tokens` are those of the holds, corrected when they are settled."""

    unowned_rows = UnownedRows("shared", "Counts by ids, without what they name.")

    pk = models.CompositePrimaryKey("subject_id", "second")
    subject_id = models.UUIDField()
    second = models.BigIntegerField()
    requests = models.IntegerField()
    tokens = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.requests} of {self.subject_id} at {self.second}"
