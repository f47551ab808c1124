"""The control plane's nouns: channels to providers, their secrets, and the names they serve."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from lib.ids import id_text, new_id
from lib.sealed_field import SealedField


class OnLeave(models.TextChoices):
    CANCEL = "cancel"
    DRAIN = "drain"


class Channel(models.Model):
    """One configured way to a provider."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=120, unique=True)
    provider = models.CharField(max_length=40)
    base_url = models.CharField(max_length=500)
    enabled = models.BooleanField(default=True)
    priority = models.IntegerField(default=0, help_text="Lower is asked first.")
    weight = models.PositiveIntegerField(default=1)
    retries = models.PositiveSmallIntegerField(default=2)
    on_leave = models.CharField(max_length=8, choices=OnLeave.choices, default=OnLeave.CANCEL)
    uncapped = models.BooleanField(
        default=False, db_default=False, help_text="Its provider is known to ignore output caps."
    )
    names_client = models.BooleanField(
        default=True, db_default=True, help_text="Its provider hears the user agents of clients."
    )
    timeouts = models.JSONField(
        default=dict, help_text="Seconds: connect, first_content, idle, total."
    )
    rpm = models.PositiveIntegerField(null=True, help_text="Null: no limit, as of the others.")
    tpm = models.PositiveIntegerField(null=True)
    parallel = models.PositiveIntegerField(null=True)
    spend_cap_day_nano = models.BigIntegerField(null=True)
    spend_cap_month_nano = models.BigIntegerField(null=True)
    breaker = models.JSONField(
        default=dict, help_text="enabled, failures, window and open_for in seconds."
    )
    conditions = models.JSONField(
        default=dict,
        db_default=models.Value({}, output_field=models.JSONField()),
        help_text="Which requests it is for: gateway/rules/channel_conditions.py.",
    )
    zero_retention = models.BooleanField(
        default=False, db_default=False, help_text="Its provider keeps no data of requests."
    )
    region = models.CharField(
        max_length=40, default="", db_default="", help_text="Where it is; empty: not known."
    )
    overrides = models.JSONField(
        default=dict,
        db_default=models.Value({}, output_field=models.JSONField()),
        help_text="What it changes of requests (gateway/rules/request_overrides.py).",
    )
    proxy_url = models.CharField(max_length=500, blank=True, default="", db_default="")
    proxy_login = SealedField(null=True)
    ca_bundle = models.TextField(blank=True, default="", db_default="")
    client_cert = models.TextField(blank=True, default="", db_default="")
    client_key = SealedField(null=True)
    last_test = models.JSONField(null=True)
    testing = models.JSONField(
        default=dict,
        db_default=models.Value({}, output_field=models.JSONField()),
        help_text="gateway/rules/channel_testing.py: CheckRule.",
    )
    next_test_at = models.DateTimeField(null=True, help_text="Null: now, if it is tested at all.")
    check_models_every_h = models.PositiveSmallIntegerField(
        null=True, help_text="Hours between two readings of its provider's models; null: none."
    )
    next_models_check_at = models.DateTimeField(null=True, help_text="Null: now, if there is one.")
    taken_out = models.JSONField(null=True, help_text="Off by its rule: cause, what, at.")
    taken_in_at = models.DateTimeField(null=True, help_text="When its rule turned it on again.")
    archived_at = models.DateTimeField(null=True, help_text="Put away: off, and in no list.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(archived_at=None) | models.Q(enabled=False),
                name="archived_channel_is_off",
            )
        ]

    def __str__(self) -> str:
        return self.name


class ChannelKey(models.Model):
    """A provider key, sealed for this row (lib/vault.py); it can be replaced, never read back."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    channel = models.ForeignKey(Channel, models.CASCADE, related_name="keys")
    position = models.PositiveSmallIntegerField()
    sealed = SealedField()
    digest = models.BinaryField(
        max_length=32, help_text="Keyed, to tell whether a new value differs."
    )
    last4 = models.CharField(max_length=4)
    disabled_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(null=True, help_text="Null: before this was kept.")

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "position"], name="channel_key_position_once"
            )
        ]

    def __str__(self) -> str:
        return f"…{self.last4}"


class ModelListing(models.Model):
    """What the provider of a channel listed the last time, and what of it is known
    (gateway/rules/model_changes.py); names, each once.

    `told` are the signs of the changes that somebody was told of. `fault` is why the last reading
    came to nothing, "" where it did not.
    """

    channel = models.OneToOneField(
        Channel, models.CASCADE, primary_key=True, related_name="model_listing"
    )
    listed = models.JSONField(default=list)
    complete = models.BooleanField(default=False)
    known = models.JSONField(default=list)
    told = models.JSONField(default=list)
    checked_at = models.DateTimeField()
    listed_at = models.DateTimeField(null=True)
    fault = models.CharField(max_length=20, blank=True, default="")

    def __str__(self) -> str:
        return f"{len(self.listed)} models"


class Route(models.Model):
    """A model name, or a pattern of names, that a channel serves."""

    id = models.BigAutoField(primary_key=True)
    channel = models.ForeignKey(Channel, models.CASCADE, related_name="routes")
    model = models.CharField(max_length=200)
    upstream_model = models.CharField(
        max_length=200, blank=True, default="", help_text="Empty: the same."
    )
    can = models.JSONField(
        default=dict,
        db_default=models.Value({}, output_field=models.JSONField()),
        help_text="What an operator knows better than the catalogue: capability -> on.",
    )
    priority = models.IntegerField(null=True, help_text="Null: the channel's.")
    weight = models.PositiveIntegerField(null=True, help_text="Null: the channel's.")
    timeouts = models.JSONField(
        default=dict,
        db_default=models.Value({}, output_field=models.JSONField()),
        help_text="Seconds, of those that are not the channel's.",
    )

    class Meta:
        ordering = ["model"]
        constraints = [models.UniqueConstraint(fields=["channel", "model"], name="route_once")]

    def __str__(self) -> str:
        return self.model


class ModelRule(models.Model):
    """What operators rule for a model or a pattern of names (gateway/rules/model_rules.py)."""

    id = models.BigAutoField(primary_key=True)
    model = models.CharField(max_length=200, unique=True)
    fallbacks = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    causes = ArrayField(models.CharField(max_length=16), default=list, blank=True)
    pick = models.CharField(max_length=12, default="weight", db_default="weight")
    # As `billing.rules.charge_rule.stored_rule` has it.
    charge_rule = models.JSONField(
        default=dict, db_default=models.Value({}, output_field=models.JSONField()), blank=True
    )
    # As `gateway.rules.shadow.stored_shadow` has it.
    shadow = models.JSONField(
        default=dict, db_default=models.Value({}, output_field=models.JSONField()), blank=True
    )

    class Meta:
        ordering = ["model"]

    def __str__(self) -> str:
        return self.model


class ShadowAnswer(models.Model):
    """A request that went to a shadow too, and how the two answers compare; neither is kept.

    `main_…` is what the client got. `fault` is a row of the fault table, "" where the shadow
    answered; `likeness` in percent and `same_structure` (gateway/rules/shadow.py) are null where
    one of them failed, the latter also where one is no JSON. `cost_nano` is the installation's.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    at = models.DateTimeField(db_default=Now())
    rule = models.CharField(max_length=200)
    request_id = models.UUIDField()
    model = models.CharField(max_length=200)
    main_channel = models.CharField(max_length=120)
    main_status = models.PositiveSmallIntegerField()
    main_ttft_ms = models.PositiveIntegerField(null=True)
    main_total_ms = models.PositiveIntegerField()
    main_tokens = models.BigIntegerField()
    main_finish = models.CharField(max_length=40)
    main_cost_nano = models.BigIntegerField(null=True)
    channel_id = models.UUIDField()
    channel = models.CharField(max_length=120)
    upstream_model = models.CharField(max_length=200)
    fault = models.CharField(max_length=8)
    ttft_ms = models.PositiveIntegerField(null=True)
    total_ms = models.PositiveIntegerField()
    tokens = models.BigIntegerField()
    finish = models.CharField(max_length=40)
    cost_nano = models.BigIntegerField()
    likeness = models.PositiveSmallIntegerField(null=True)
    same_structure = models.BooleanField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["at"], name="shadow_answers_by_time")]

    def __str__(self) -> str:
        return f"{self.request_id} by {self.channel}"


class ShadowSpend(models.Model):
    """What the shadows of a rule, named by its model, have cost on a day (UTC), summed with each
    comparison that is written: every process reads today's once a second."""

    pk = models.CompositePrimaryKey("day", "rule")
    day = models.DateField()
    rule = models.CharField(max_length=200)
    cost_nano = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.cost_nano} for {self.rule} on {self.day}"


class ModelAlias(models.Model):
    """A public name that stands for another one, be that a model's or an alias."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=200, unique=True)
    target = models.CharField(max_length=200)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name} → {self.target}"


class ModelEntry(models.Model):
    """What operators state of one public model (gateway/rules/model_entries.py). `probe` is what
    its last probe found (gateway/probes.py)."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=200, unique=True)
    can = models.JSONField(default=dict, help_text="What is known better: capability -> on.")
    context_max = models.PositiveIntegerField(null=True, help_text="Null: as the catalogue says.")
    output_max = models.PositiveIntegerField(null=True)
    deprecated_at = models.DateTimeField(null=True)
    sunset_at = models.DateTimeField(null=True)
    replacement = models.CharField(max_length=200, blank=True, default="")
    forwards = models.BooleanField(
        default=False, help_text="From its sunset on the replacement answers."
    )
    plans = ArrayField(models.CharField(max_length=120), default=list, blank=True)
    roles = ArrayField(models.CharField(max_length=12), default=list, blank=True)
    probe = models.JSONField(null=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(sunset_at=None)
                | models.Q(deprecated_at__lte=models.F("sunset_at")),
                name="model_ends_after_its_deprecation",
            ),
            models.CheckConstraint(
                condition=models.Q(forwards=False) | ~models.Q(replacement=""),
                name="model_forwards_to_another",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class FactState(models.TextChoices):
    OPEN = "open"
    ACCEPTED = "accepted"
    DISMISSED = "dismissed"


class ModelProposal(models.Model):
    """One fact of a model of which a list of models or a probe says otherwise than what holds.

    `field` is one of `gateway/rules/model_facts.py`; `before` holds, `after` is proposed, None =
    not stated. `source` is the list, as prices of it have it, or the probe.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    model = models.CharField(max_length=200)
    field = models.CharField(max_length=16)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    source = models.CharField(max_length=60)
    state = models.CharField(max_length=9, choices=FactState.choices, default=FactState.OPEN)
    created_at = models.DateTimeField(db_default=Now())
    decided_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["model", "field"]
        indexes = [
            models.Index(
                fields=["model"], condition=models.Q(state="open"), name="open_model_proposals"
            )
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.field}"


class CatalogueIgnoreRule(models.Model):
    """What no list is to propose: of the models that a name or pattern meets, one field or all,
    which is ""."""

    id = models.BigAutoField(primary_key=True)
    model = models.CharField(max_length=200)
    field = models.CharField(max_length=16, blank=True, default="")

    class Meta:
        ordering = ["model", "field"]
        constraints = [
            models.UniqueConstraint(fields=["model", "field"], name="ignored_field_once")
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.field}".strip()


class CatalogueUpdate(models.Model):
    """One list of models that was compared with what holds; `result` is what it came to
    (gateway/catalogue_updates.py)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    source = models.CharField(max_length=60)
    result = models.JSONField()
    made_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.source} at {self.created_at}"


class InstallationSetting(models.Model):
    """The one row of settings that operators change at run time."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    # Inside networks: of channels, which operators name, and of files, pictures and descriptions
    # of tools, which users name. What opens a local model to channels opens nothing to users.
    egress_allow = ArrayField(models.CharField(max_length=50), default=list, blank=True)
    egress_allow_users = ArrayField(
        models.CharField(max_length=50), default=list, db_default=[], blank=True
    )
    unpriced_models = models.CharField(
        max_length=8,
        choices=[("reject", "reject"), ("free", "free"), ("alert", "alert")],
        default="reject",
    )
    # Whether who is not signed in sees the pages of models and of prices.
    public_models = models.BooleanField(default=True, db_default=True)
    # Whether they see the status page.
    public_status = models.BooleanField(default=False, db_default=False)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_settings_row")]

    def __str__(self) -> str:
        return "settings"


class KeptState(models.Model):
    """What a later request may go on from: a stored response, or the seals of a tool call.

    `id` is derived from its kind, team and name (relay/state_store.py), which stand nowhere;
    `sealed` opens for this row only. Nothing is kept for more than 24 hours.
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
    sealed = SealedField()
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return str(self.id)


class IdempotentAnswer(models.Model):
    """One use of an Idempotency-Key: which body it came with, and the head of the answer.

    `id` is derived from the API key and the client's key. While it is running its process renews
    `alive_until`; one that is `not_kept` has ended without its
    answer, whose content may not be kept.
    """

    class State(models.TextChoices):
        RUNNING = "running"
        ENDED = "ended"
        NOT_KEPT = "not_kept"

    pk = models.CompositePrimaryKey("organisation_id", "id")
    organisation = models.ForeignKey(
        "accounts.Organisation",
        models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    id = models.UUIDField()
    body_digest = models.BinaryField(max_length=32)
    request_id = models.UUIDField()
    state = models.CharField(max_length=8, choices=State.choices)
    head = SealedField(
        null=True, place="gateway_idempotentanswer|{organisation_id}/{id}/{request_id}|head"
    )
    alive_until = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.request_id} {self.state}"


class AnswerPiece(models.Model):
    """A piece of a kept answer, in the client's own bytes, sealed for its place."""

    pk = models.CompositePrimaryKey("organisation_id", "request_id", "n")
    organisation = models.ForeignKey(
        "accounts.Organisation",
        models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    request_id = models.UUIDField()
    n = models.IntegerField()
    sealed = SealedField()
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.request_id} {self.n}"


class ChannelTestRun(models.Model):
    """A test of all channels: a job with progress.

    `left` are the ids of the channels that are still to be tested, `results` what the others came
    to: [{channel_id, channel, ok, fault, total_ms, cost_nano}, …]. A process that tests one has the
    run until `claimed_until`.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    variant = models.CharField(max_length=8)
    left = models.JSONField(default=list)
    results = models.JSONField(default=list)
    total = models.PositiveIntegerField()
    claimed_until = models.DateTimeField(null=True)
    made_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{len(self.results)} of {self.total}"


class PreviewState(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class PricePreview(models.Model):
    """The usage of a time priced again at drafts: a job with progress, and its result.

    `drafts` are a copy of what was previewed: [{key…, rates}]. `place` and `sums` are how far it
    has come, `result` is what the page shows.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    drafts = models.JSONField()
    start_at = models.DateTimeField()
    end_at = models.DateTimeField()
    state = models.CharField(
        max_length=9, choices=PreviewState.choices, default=PreviewState.QUEUED
    )
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True)
    place = models.JSONField(default=dict)
    sums = models.JSONField(default=dict)
    result = models.JSONField(null=True)
    message = models.CharField(max_length=300, blank=True, default="")
    made_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["id"],
                condition=models.Q(state__in=["queued", "running"]),
                name="unfinished_previews",
            )
        ]

    def __str__(self) -> str:
        return f"{self.state} {self.done} of {self.total}"


class TrafficCursor(models.Model):
    """How far the traffic is counted: the `snapshot` that the last run saw.

    Records from before `since` are not counted: a dump brings its own server's transactions along.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    snapshot = models.TextField()
    since = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_traffic_cursor")]

    def __str__(self) -> str:
        return f"counted to {self.snapshot}"


class TrafficTotal(models.Model):
    """One counter of `/metrics`, since the installation began; it only grows.

    `value` is a count, a sum of milliseconds or of nano-USD, as its `family` says; `counts` are how
    many observations were at most each bound of a histogram. `id` tells which came first.
    """

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
    """What ended in five minutes by one channel, or by none, for one model or pattern of models.

    `attempts` and `failed` are the channel's, `requests` and `failed_requests` the model's: of a
    request with several attempts only the last one ends it. `first_tokens` are how many answers
    began within each bound of `gateway/traffic.py`; `output_tokens` were written in `writing_ms`.
    `answers` took `first_token_ms` until their first content and `answer_ms` in all; of their
    `input_tokens`, `cached_tokens` came from a cache.
    """

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
    """What ended in five minutes by one channel with the provider keys that end in `channel_key`
    ("" for short ones); the rest as in a TrafficBucket."""

    pk = models.CompositePrimaryKey("bucket_at", "channel_id", "channel_key")
    bucket_at = models.DateTimeField()
    channel_id = models.UUIDField()
    channel_key = models.CharField(max_length=4)
    attempts = models.BigIntegerField()
    failed = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    writing_ms = models.BigIntegerField()
    first_tokens = ArrayField(models.BigIntegerField())

    def __str__(self) -> str:
        return f"…{self.channel_key} at {self.bucket_at}"


class ChannelSpend(models.Model):
    """What the attempts of a channel cost us that ended on a day of the installation's zone, as far
    as the traffic is counted; it only grows."""

    pk = models.CompositePrimaryKey("channel_id", "day")
    channel_id = models.UUIDField()
    day = models.DateField()
    cost_nano = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.cost_nano} on {self.day}"


class ChannelReport(models.Model):
    """What one web process has found out about the channels, as of then (relay/health_sharing.py).

    `channels` has those that are not just well, by their ids; `epoch` is the catalogue's that it
    was found with.
    """

    process_id = models.UUIDField(primary_key=True)
    reported_at = models.DateTimeField()
    epoch = models.BigIntegerField()
    channels = models.JSONField()

    def __str__(self) -> str:
        return f"{self.process_id} at {self.reported_at}"


class AnnouncementTone(models.TextChoices):
    INFO = "info", _("Information")
    WARN = "warn", _("Warning")
    BAD = "bad", _("Incident")


class Announcement(models.Model):
    """What operators tell everybody: a banner on all pages, from then until then, and a line of the
    status page."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    title = models.CharField(max_length=120)
    text = models.TextField(max_length=2000, blank=True, default="")
    tone = models.CharField(
        max_length=4, choices=AnnouncementTone.choices, default=AnnouncementTone.INFO
    )
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)
    made_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-starts_at"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ends_at=None) | models.Q(ends_at__gt=models.F("starts_at")),
                name="announcement_ends_after_its_start",
            )
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def shown_id(self) -> str:
        """Its id as addresses have it."""
        return id_text(self.id)


class AnnouncementDismissal(models.Model):
    """A person has closed the banner of an announcement."""

    announcement = models.ForeignKey(Announcement, models.CASCADE, related_name="dismissals")
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["announcement", "user"], name="dismissed_once")
        ]

    def __str__(self) -> str:
        return f"{self.announcement_id} by {self.user_id}"
