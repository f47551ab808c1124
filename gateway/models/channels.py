"""Channels to providers, their secrets, the models that they serve and their tests."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from accounts.names.labels import LABEL_LENGTH
from gateway.channel_order.retries import RETRIES
from lib.database.sealed_field import SealedField
from lib.database.unowned_rows import UnownedRows
from lib.ids import new_id


class OnLeave(models.TextChoices):
    CANCEL = "cancel"
    DRAIN = "drain"


class Channel(models.Model):
    """One configured way to a provider."""

    unowned_rows = UnownedRows("read_only", "The channels serve all.")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=120, unique=True)
    provider = models.CharField(max_length=40)
    base_url = models.CharField(max_length=500)
    enabled = models.BooleanField(default=True)
    labels = ArrayField(
        models.CharField(max_length=LABEL_LENGTH),
        default=list,
        db_default=[],
        help_text="By which operators find it, and change several at once.",
    )
    priority = models.IntegerField(default=0, help_text="Lower is asked first.")
    weight = models.PositiveIntegerField(default=1)
    retries = models.PositiveSmallIntegerField(default=RETRIES)
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
    balance_source = models.CharField(max_length=16, default="none", db_default="none")
    balance_warn_below_nano = models.BigIntegerField(
        null=True, help_text="In the unit that the provider reports, as the other."
    )
    balance_rest_below_nano = models.BigIntegerField(null=True)
    next_balance_at = models.DateTimeField(null=True, help_text="Null: now, if it is read at all.")
    breaker = models.JSONField(
        default=dict, help_text="enabled, failures, window and open_for in seconds."
    )
    conditions = models.JSONField(
        default=dict,
        db_default=models.Value({}, output_field=models.JSONField()),
        help_text="Which requests it is for: gateway/channels/overrides/condition_rules.py.",
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
        help_text="What it changes of requests (gateway/channels/overrides/rules.py).",
    )
    pass_through = models.JSONField(
        default=list,
        db_default=models.Value([], output_field=models.JSONField()),
        help_text="Which paths clients may call (gateway/channels/passthrough/rules.py).",
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
        help_text="gateway/channels/channel_tests/rules.py: CheckRule.",
    )
    next_test_at = models.DateTimeField(null=True, help_text="Null: now, if it is tested at all.")
    check_models_every_h = models.PositiveSmallIntegerField(
        null=True, help_text="Hours between two readings of its provider's models; null: none."
    )
    next_models_check_at = models.DateTimeField(null=True, help_text="Null: now, if there is one.")
    taken_out = models.JSONField(null=True, help_text="Off by its rule: cause, what, at.")
    taken_in_at = models.DateTimeField(null=True, help_text="When it was last turned on.")
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
    """A provider key, sealed for this row (lib/vault.py). It can be replaced, but never read
    back."""

    unowned_rows = UnownedRows("closed", "The keys to providers.")

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
    balance = models.JSONField(
        null=True, help_text="gateway/provider_accounts/balances/rules.py: Reading."
    )

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
    """The last list of models of a channel's provider, and the known names
    (gateway/catalogue/model_change_rules.py), without duplicates.

    `told` identifies the changes that operators were notified of. `fault` is why the last reading
    failed, or "".
    """

    unowned_rows = UnownedRows("closed", "Of the installation's channels.")

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


class UpstreamPriceList(models.Model):
    """The prices that a channel's provider publishes, read each day
    (gateway/prices/upstream_prices/upstream_prices.py).

    `group` is that of our key there, "" if the provider has none. With `markup_ppm`, sale prices
    are proposed as well: the cost times the markup. `result` is the outcome of the last list;
    `fault` and `detail` are why the last reading failed, or "".
    """

    unowned_rows = UnownedRows("closed", "Of the installation's channels.")

    channel = models.OneToOneField(
        Channel, models.CASCADE, primary_key=True, related_name="upstream_prices"
    )
    group = models.CharField(max_length=120, blank=True, default="")
    markup_ppm = models.BigIntegerField(null=True)
    result = models.JSONField(default=dict)
    checked_at = models.DateTimeField(null=True)
    read_at = models.DateTimeField(null=True)
    next_check_at = models.DateTimeField(null=True)
    fault = models.CharField(max_length=20, blank=True, default="")
    detail = models.CharField(max_length=500, blank=True, default="")

    def __str__(self) -> str:
        return f"prices of {self.channel_id}"


class Route(models.Model):
    """A model name, or a pattern of names, that a channel serves."""

    unowned_rows = UnownedRows("read_only", "The channels serve all.")

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


class ChannelTestRun(models.Model):
    """A test of all channels: a job with progress.

    `left` are the ids of the channels that are not tested yet, `results` the results of the others:
    [{channel_id, channel, ok, fault, total_ms, cost_nano}, …]. A process that is testing a channel
    holds the run until `claimed_until`.
    """

    unowned_rows = UnownedRows("closed", "Of the installation's channels.")

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
        indexes = [
            models.Index(
                fields=["id"], condition=models.Q(ended_at=None), name="unfinished_channel_tests"
            )
        ]

    def __str__(self) -> str:
        return f"{len(self.results)} of {self.total}"


class ChannelReport(models.Model):
    """What one web process knows about the channels (relay/health/health_sharing.py).

    `channels` has those with problems, by id; `epoch` is the catalogue's epoch at the time of the
    report.
    """

    unowned_rows = UnownedRows("closed", "What the processes found of providers.")

    process_id = models.UUIDField(primary_key=True)
    reported_at = models.DateTimeField()
    epoch = models.BigIntegerField()
    channels = models.JSONField()

    def __str__(self) -> str:
        return f"{self.process_id} at {self.reported_at}"


class ChannelRest(models.Model):
    """The last rest of a channel (gateway/health/rests.py): from when to when its breaker was open
    or all its keys were paused, `ended_at` null while it lasts. `kind` is that of the last failure,
    or "". Of `attempts` that ended shortly before it began, the channel failed `failed`."""

    unowned_rows = UnownedRows("closed", "When providers failed last.")

    channel = models.OneToOneField(
        Channel, models.CASCADE, primary_key=True, related_name="last_rest"
    )
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    kind = models.CharField(max_length=40, blank=True, default="")
    attempts = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"rest of {self.channel_id} since {self.began_at}"
