"""Attempts, usage records and client addresses. Attempts and records are written once and never
changed.

Attempts and records are partitioned by month on their time-ordered id. The organisation is part of
their primary key, so that they can be distributed by it. Hot tables have no foreign key
constraints, because each would lock the organisation's row once per request.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Attempt(models.Model):
    """One request sent to one channel. It is committed before its first byte is sent."""

    pk = models.CompositePrimaryKey("organisation_id", "id")
    organisation = models.ForeignKey(
        "accounts.Organisation",
        models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    id = models.UUIDField()
    request_id = models.UUIDField()
    n = models.SmallIntegerField()
    team_id = models.UUIDField()
    key_id = models.UUIDField()
    user_id = models.BigIntegerField(null=True)
    model = models.CharField(max_length=200)
    channel_id = models.UUIDField(null=True, help_text="Null if a stored answer was served.")
    channel_name = models.CharField(max_length=120)
    upstream_model = models.CharField(max_length=200)
    dialect = models.CharField(max_length=12)
    operation = models.CharField(max_length=24)
    stream = models.BooleanField()
    source = models.CharField(max_length=12)
    price_version_id = models.BigIntegerField(null=True)
    multiplier_ppm = models.BigIntegerField(default=1_000_000, db_default=1_000_000)
    cost_version_id = models.BigIntegerField(null=True)
    hold_nano = models.BigIntegerField()
    input_estimate = models.IntegerField(
        db_default=0, help_text="Tokens by its size: what it may have cost where nobody can count."
    )
    skipped = models.JSONField(
        null=True,
        help_text="The channels before it that could not be used, as [{channel, reason}, …].",
    )
    why = models.CharField(
        max_length=16, db_default="", help_text="Why this channel: usage/requests/choices.py."
    )
    channel_key = models.CharField(
        max_length=4, db_default="", help_text="How the provider key ends that was used."
    )
    channel_key_id = models.UUIDField(
        null=True, help_text="The provider key; null where there was none, or none was noted."
    )
    asked_model = models.CharField(
        max_length=200,
        db_default="",
        help_text="The name that was asked for, where it is another one than the model's.",
    )
    own_fee = models.JSONField(
        null=True,
        help_text="The fee for the organisation's own key (billing/prices/own_key_fee.py); null"
        " for the installation's keys.",
    )
    project = models.CharField(max_length=100, db_default="")
    tags = models.JSONField(null=True)
    customer = models.CharField(max_length=100, db_default="")
    client_app = models.CharField(
        max_length=64, db_default="", help_text="relay/requests/client_apps.py"
    )
    session_id = models.UUIDField(
        null=True, help_text="The session that it was part of: relay/requests/sessions.py"
    )
    session = models.JSONField(
        null=True, help_text="What its client calls the session and the agent: {name, source, …}."
    )
    end_user = models.CharField(
        max_length=256, db_default="", help_text="The user that the request names."
    )
    prompt = models.CharField(  # noqa: DJ001 - no prompt is no name
        max_length=60, null=True, help_text="The slug of the saved prompt that it used."
    )
    prompt_version = models.IntegerField(null=True)
    admitted_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.model} by {self.channel_name}"


class UsageRecord(models.Model):
    """The usage and charge of one ended attempt, with its price version and plan multiplier.

    `cost_nano` is our cost by prices of the kind cost, null if unknown; for operators only. `id` is
    the attempt's id, or the request's if it was refused before any attempt. The record of a
    request's last attempt is `final`: it has the outcome of the request. Earlier attempts failed
    before content (P7) and are never charged, so the final record has the charge of the request.
    `own_nano` is what the organisation pays its provider itself, with its own key; null if the
    installation's key was used.
    """

    pk = models.CompositePrimaryKey("organisation_id", "id")
    organisation = models.ForeignKey(
        "accounts.Organisation",
        models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    id = models.UUIDField()
    request_id = models.UUIDField()
    final = models.BooleanField()
    team_id = models.UUIDField()
    key_id = models.UUIDField()
    user_id = models.BigIntegerField(null=True)
    model = models.CharField(max_length=200)
    channel_id = models.UUIDField(null=True)
    channel_name = models.CharField(max_length=120, default="")
    upstream_model = models.CharField(max_length=200, default="")
    dialect = models.CharField(max_length=12)
    operation = models.CharField(max_length=24)
    stream = models.BooleanField()
    source = models.CharField(max_length=12)
    admitted_at = models.DateTimeField()
    ended_at = models.DateTimeField(db_default=Now())
    status = models.SmallIntegerField()
    kind = models.CharField(max_length=40, null=True)  # noqa: DJ001 - no kind is no error
    message = models.TextField(default="")
    finish_reason = models.CharField(max_length=40, default="")
    meters = models.JSONField(default=dict)
    charge_nano = models.BigIntegerField(default=0)
    hold_nano = models.BigIntegerField(default=0)
    basis = models.CharField(max_length=12)
    price_version_id = models.BigIntegerField(null=True)
    multiplier_ppm = models.BigIntegerField(default=1_000_000, db_default=1_000_000)
    own_nano = models.BigIntegerField(null=True)
    cost_nano = models.BigIntegerField(null=True)
    cost_version_id = models.BigIntegerField(null=True)
    ttft_ms = models.IntegerField(null=True)
    total_ms = models.IntegerField()
    raw_usage = models.JSONField(null=True)
    flags = ArrayField(models.CharField(max_length=40), default=list)
    project = models.CharField(max_length=100, db_default="")
    tags = models.JSONField(null=True)
    customer = models.CharField(max_length=100, db_default="")
    client_app = models.CharField(
        max_length=64, db_default="", help_text="relay/requests/client_apps.py"
    )
    session_id = models.UUIDField(
        null=True, help_text="The session that it was part of: relay/requests/sessions.py"
    )
    session = models.JSONField(
        null=True, help_text="What its client calls the session and the agent: {name, source, …}."
    )
    end_user = models.CharField(
        max_length=256, db_default="", help_text="The user that the request names."
    )
    prompt = models.CharField(  # noqa: DJ001 - no prompt is no name
        max_length=60, null=True, help_text="The slug of the saved prompt that it used."
    )
    prompt_version = models.IntegerField(null=True)
    upstream_request_id = models.CharField(
        max_length=200, db_default="", help_text="What the provider calls the request."
    )
    dropped = ArrayField(
        models.TextField(), null=True, help_text="The parameters that were left out."
    )
    saved_nano = models.BigIntegerField(
        null=True, help_text="What cached input saved; null in records of before it was counted."
    )
    pricing = models.JSONField(
        null=True,
        help_text="Its parts and conditions where it is not its meters at the rates of its version,"
        " and what of its usage is not classified.",
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(final=True) | models.Q(charge_nano=0),
                name="only_the_end_is_charged",
            )
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.status}"


class ClientAddress(models.Model):
    """The client address of a request, by the id of its final record. Rows exist only for
    organisations that enable this, and for as long as these choose
    (`usage/requests/client_addresses.py`). They are separate from the record, which never
    changes."""

    pk = models.CompositePrimaryKey("organisation_id", "record_id")
    organisation = models.ForeignKey(
        "accounts.Organisation",
        models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    record_id = models.UUIDField()
    address = models.CharField(max_length=64)
    noted_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["organisation", "noted_at"], name="address_by_age")]

    def __str__(self) -> str:
        return self.address
