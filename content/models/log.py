"""The content log: what is kept of requests and answers, and the keys that seal it.

Entries are partitioned by the time at which they are dropped, so that no text is ever deleted row
by row. Entries and data keys have no foreign key constraints, because each would lock the
organisation's row once per request.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from content.rules.rules import REDACTED_BY_DEFAULT, RETENTION_HOURS_MAX
from lib.database.sealed_field import SealedField
from lib.ids import new_id


class LogScope(models.TextChoices):
    """What a rule is for."""

    ORGANISATION = "organisation"
    TEAM = "team"
    KEY = "key"
    MODEL = "model"


class Keep(models.TextChoices):
    """Which requests are kept."""

    EVERYTHING = "everything"
    ERRORS = "errors"
    NOTHING = "nothing"


def _redacted_by_default() -> list[str]:
    return list(REDACTED_BY_DEFAULT)


class LogRule(models.Model):
    """Which requests and answers of an organisation are kept, and for how long. `subject` is the id
    of the team or key, or the name or pattern of the model; "" for the whole organisation."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        "accounts.Organisation", models.CASCADE, related_name="log_rules"
    )
    scope = models.CharField(max_length=12, choices=LogScope.choices)
    subject = models.CharField(max_length=200, blank=True, default="")
    keep = models.CharField(max_length=12, choices=Keep.choices, default=Keep.EVERYTHING)
    share_percent = models.PositiveSmallIntegerField(
        default=100, help_text="The share of requests that is kept."
    )
    retention_hours = models.PositiveSmallIntegerField(default=24)
    callers_may_opt_out = models.BooleanField(
        default=True, help_text="Whether a request can ask not to be kept."
    )
    redact = ArrayField(
        models.CharField(max_length=20),
        blank=True,
        default=_redacted_by_default,
        db_default=list(REDACTED_BY_DEFAULT),
        help_text="The guards whose findings are masked before a text is kept.",
    )
    ends_at = models.DateTimeField(null=True, help_text="From then on it does not apply.")
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "scope", "subject"], name="log_rule_once"
            ),
            models.CheckConstraint(
                condition=models.Q(share_percent__range=(1, 100)), name="log_rule_share"
            ),
            models.CheckConstraint(
                condition=models.Q(retention_hours__range=(1, RETENTION_HOURS_MAX)),
                name="log_rule_retention",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.subject}: {self.keep}"


class DataKey(models.Model):
    """The key that seals what one person asked, or what one key without a person asked, in an
    organisation. Without it, none of that can be read again. Weir's backups do not contain it."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        "accounts.Organisation", models.DO_NOTHING, related_name="+", db_constraint=False
    )
    owner = models.CharField(
        max_length=40, help_text="user:<id> of the person, or key:<id> of a key without one."
    )
    sealed = SealedField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "owner"], name="data_key_once")
        ]

    def __str__(self) -> str:
        return self.owner


class Entry(models.Model):
    """One request and its answer, sealed with a data key: here, or in an object of the store. It
    cannot be read after `expires_at`; its partition and the object are dropped at `drop_at`."""

    pk = models.CompositePrimaryKey("drop_at", "request_id")
    drop_at = models.DateTimeField()
    request_id = models.UUIDField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    organisation = models.ForeignKey(
        "accounts.Organisation",
        models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    team_id = models.UUIDField()
    key_id = models.UUIDField()
    user_id = models.BigIntegerField(null=True)
    session_id = models.UUIDField(null=True)
    model = models.CharField(max_length=200)
    dialect = models.CharField(max_length=12)
    operation = models.CharField(max_length=24)
    status = models.SmallIntegerField()
    data_key_id = models.UUIDField()
    content_bytes = models.IntegerField(help_text="The size before it was packed and sealed.")
    sealed = models.BinaryField(null=True)
    object_id = models.UUIDField(null=True)
    object_offset = models.IntegerField(null=True, help_text="Where the sealed text begins.")
    object_bytes = models.IntegerField(null=True, help_text="How long the sealed text is.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    sealed__isnull=False,
                    object_id=None,
                    object_offset=None,
                    object_bytes=None,
                )
                | models.Q(
                    sealed=None,
                    object_id__isnull=False,
                    object_offset__isnull=False,
                    object_bytes__isnull=False,
                ),
                name="entry_in_one_place",
            )
        ]
        indexes = [
            # With what a search filters by, so that it passes over rows without reading them.
            models.Index(
                fields=["organisation", "-created_at"],
                include=[
                    "drop_at",
                    "request_id",
                    "expires_at",
                    "team_id",
                    "key_id",
                    "user_id",
                    "session_id",
                    "model",
                    "status",
                    "content_bytes",
                ],
                name="entry_by_time",
            ),
            models.Index(fields=["request_id"], name="entry_by_request"),
            models.Index(
                fields=["session_id", "-created_at"],
                condition=~models.Q(session_id=None),
                name="entry_by_session",
            ),
        ]

    def __str__(self) -> str:
        return str(self.request_id)
