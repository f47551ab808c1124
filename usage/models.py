"""What happened: attempts and usage records, both written once and never changed, and their sums.

Attempts and records are partitioned by month on their time-ordered id, and carry the organisation
in their primary key, so that they can be distributed by it. Hot tables carry no foreign key
constraints: each would lock the organisation's row once per request.
"""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from lib.ids import new_id


class Attempt(models.Model):
    """One request sent to one channel, committed before its first byte leaves us."""

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
    channel_id = models.UUIDField()
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
        max_length=16, db_default="", help_text="Why this channel: usage/rules/choices.py."
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
    project = models.CharField(max_length=100, db_default="")
    tags = models.JSONField(null=True)
    customer = models.CharField(max_length=100, db_default="")
    client_app = models.CharField(
        max_length=64, db_default="", help_text="usage/rules/client_apps.py"
    )
    session_id = models.UUIDField(null=True, help_text="The realtime session that it was part of.")
    end_user = models.CharField(
        max_length=256, db_default="", help_text="The user that the request names."
    )
    admitted_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.model} by {self.channel_name}"


class UsageRecord(models.Model):
    """What one ended attempt used and was charged, at which price version and plan multiplier.

    `cost_nano` is what it cost us by the prices of the kind cost, null where none is known; it is
    for operators only.

    `id` is the attempt's; for a request that was refused before any attempt it is the request's.
    The record of a request's last attempt is `final`: it tells how the request ended. The attempts
    before it failed before content (P7) and are never charged, so that its charge is the request's.
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
        max_length=64, db_default="", help_text="usage/rules/client_apps.py"
    )
    session_id = models.UUIDField(null=True, help_text="The realtime session that it was part of.")
    end_user = models.CharField(
        max_length=256, db_default="", help_text="The user that the request names."
    )
    upstream_request_id = models.CharField(
        max_length=200, db_default="", help_text="What the provider calls the request."
    )
    dropped = ArrayField(
        models.TextField(), null=True, help_text="The parameters that were left out."
    )
    saved_nano = models.BigIntegerField(
        null=True, help_text="What cached input saved; null in records of before it was counted."
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
    """From which address a request came, by the id of its final record: only for organisations that
    ask for it, and for as long as they say (`usage/client_addresses.py`). Beside the record, which
    is never changed."""

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


class TruthSource(models.TextChoices):
    LATE = "late"
    LOOK_UP = "look_up"


class LateTruth(models.Model):
    """What was learnt of an attempt after its hold was resolved (I7).

    `late` is its own process that was not dead after all, with the charge it came to; `look_up` is
    the provider, asked by the attempt's id. `meters` are null until they are known; a look-up is
    asked again at `ask_at`. It is posted once, at `posted_at`.
    """

    id = models.BigAutoField(primary_key=True)
    organisation_id = models.UUIDField()
    attempt_id = models.UUIDField()
    source = models.CharField(max_length=8, choices=TruthSource.choices)
    meters = models.JSONField(null=True)
    charge_nano = models.BigIntegerField(null=True)
    raw_usage = models.JSONField(null=True)
    tries = models.SmallIntegerField(default=0)
    ask_at = models.DateTimeField(null=True)
    learnt_at = models.DateTimeField(db_default=Now())
    posted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["attempt_id", "source"], name="truth_told_once")
        ]
        indexes = [
            models.Index(
                fields=["id"],
                condition=models.Q(posted_at__isnull=True, meters__isnull=False),
                name="truth_to_post",
            )
        ]

    def __str__(self) -> str:
        return f"{self.source} of {self.attempt_id}"


class LateRecord(models.Model):
    """A record that came for a detached month, as its `row`: it is taken in when the month is
    back."""

    id = models.UUIDField(primary_key=True)
    organisation_id = models.UUIDField()
    row = models.JSONField()
    came_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"late {self.id}"


class SettleAs(models.TextChoices):
    AMOUNT = "amount", _("A specific amount")
    BOUND = "bound", _("The held amount")
    FREE = "free", _("Free of charge")


class Review(models.Model):
    """What an operator decided on an attempt whose count was doubted: once, by the primary key.

    The customer had paid `before_nano` for it, and pays `charge_nano` since.
    """

    attempt_id = models.UUIDField(primary_key=True)
    organisation_id = models.UUIDField()
    request_id = models.UUIDField()
    settle_as = models.CharField(max_length=6, choices=SettleAs.choices)
    before_nano = models.BigIntegerField()
    charge_nano = models.BigIntegerField()
    reason = models.CharField(max_length=500)
    decided_by = models.ForeignKey("accounts.User", models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(charge_nano__gte=0), name="review_charge_not_negative"
            )
        ]

    def __str__(self) -> str:
        return f"{self.attempt_id} as {self.settle_as}"


class HistogramField(models.Field):  # type: ignore[type-arg]
    """A number of `rules/histograms.py`, of any length."""

    def db_type(self, connection: Any) -> str:
        return "numeric"


class Rollup(models.Model):
    """Sums of the records admitted in one quarter of an hour; replaced, never incremented (I16).

    The histograms are of the times of answered requests, 0 where there is none; null in rows from
    before they were kept, until these are rebuilt. Between their first and their last output token
    the answers took `timed_ms`, for `timed_tokens`. `saved_nano` is null where a record has none.
    """

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

    def __str__(self) -> str:
        return f"{self.model} at {self.bucket_at}"


class _CoarseRollup(models.Model):
    """As a `Rollup`, over a longer time: the most common meters are columns, null where none was
    counted, and `meters` has the others."""

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
    charge_nano = models.BigIntegerField()
    in_text = models.BigIntegerField(null=True)
    in_cache_read = models.BigIntegerField(null=True)
    out_text = models.BigIntegerField(null=True)
    out_reasoning = models.BigIntegerField(null=True)
    meters = models.JSONField()
    total_histogram = HistogramField(null=True)
    ttft_histogram = HistogramField(null=True)
    timed_tokens = models.BigIntegerField(null=True)
    timed_ms = models.BigIntegerField(null=True)
    saved_nano = models.BigIntegerField(null=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.model} from {self.bucket_at}"


class HourRollup(_CoarseRollup):
    """Sums of the rollups of one hour of UTC."""


class DayRollup(_CoarseRollup):
    """Sums of the rollups of one day of UTC."""


class RollupWatermark(models.Model):
    """How far the rollups have read (transactions before `xid`), up to when they are complete.

    Before `levels_to`, the end of an hour, there are hours, and days that are over; null: there are
    none yet.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    xid = models.BigIntegerField(default=0)
    complete_to = models.DateTimeField(null=True)
    levels_to = models.DateTimeField(null=True)
    rest_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_watermark")]

    def __str__(self) -> str:
        return f"complete to {self.complete_to}"


class ClickHouseCursor(models.Model):
    """How far records have been sent to ClickHouse: it has what `snapshot` sees, and all that was
    admitted between `whole_from`, null for ever, and `complete_to`, null until it is filled.

    A round sends what `target` sees and `snapshot` does not, in batches, and is as far as
    `after_*`; without a snapshot it sends everything. `batches` of this `fill` are there:
    ClickHouse keeps both too, and is filled anew where it tells another number.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    schema = models.SmallIntegerField(default=0)
    fill = models.UUIDField(default=new_id)
    batches = models.BigIntegerField(default=0)
    snapshot = models.TextField(default="")
    target = models.TextField(default="")
    target_to = models.DateTimeField(null=True)
    after_xid = models.BigIntegerField(null=True)
    after_organisation = models.UUIDField(null=True)
    after_id = models.UUIDField(null=True)
    whole_from = models.DateTimeField(null=True)
    complete_to = models.DateTimeField(null=True)
    error = models.CharField(max_length=200, default="", help_text="Of the last run; none if good.")

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_clickhouse")]

    def __str__(self) -> str:
        return f"complete to {self.complete_to}"


class BooksCheck(models.Model):
    """The last run of the invariants over the whole books: {invariant: [row, …]} of what is wrong.

    It rests in proportion to how long it took.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    ran_at = models.DateTimeField(db_default=Now())
    took_ms = models.IntegerField(default=0)
    broken = models.JSONField(default=dict)
    rest_until = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_books_check")]

    def __str__(self) -> str:
        return f"{len(self.broken)} broken at {self.ran_at}"


class DetachedMonth(models.Model):
    """A month whose holds, attempts and records are kept in a file (usage/months.py).

    They have ids from `first_id` to before `end_id`, and were admitted on the days of UTC from
    `from_at` to before `to_at`, whose rollups stay as they are; they name `price_version_ids`.
    """

    month = models.DateField(primary_key=True)
    first_id = models.UUIDField()
    end_id = models.UUIDField()
    from_at = models.DateTimeField()
    to_at = models.DateTimeField()
    price_version_ids = ArrayField(models.BigIntegerField())
    detached_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"


class MonthFile(models.Model):
    """The file of a detached month, and what the books count in place of its rows.

    `sums` are [[kind, id of the account or window, nano], …] with the kinds of `invariants.SUMS`,
    `rolled` is what its days' rollups come to, [[organisation, requests, nano], …]. `digest` is
    over the file, `signature` ours over all of it and over the row of the month.
    """

    month = models.OneToOneField(
        DetachedMonth, models.CASCADE, primary_key=True, related_name="file"
    )
    name = models.CharField(max_length=255)
    bytes = models.BigIntegerField()
    digest = models.BinaryField()
    rows = models.JSONField(help_text="By the table.")
    sums = models.JSONField()
    rolled = models.JSONField()
    signature = models.BinaryField()

    def __str__(self) -> str:
        return self.name


class BillMatch(models.TextChoices):
    """By what a provider's bill is compared with our records."""

    REQUEST = "request", _("Request ID")
    DAY = "day", _("Day and model")


class BillMapping(models.Model):
    """How a provider's bills are read: the heads of their columns, and what may differ."""

    provider = models.CharField(primary_key=True, max_length=40)
    match = models.CharField(max_length=7, choices=BillMatch.choices, default=BillMatch.DAY)
    request_column = models.CharField(max_length=120, blank=True, default="")
    day_column = models.CharField(max_length=120, blank=True, default="")
    model_column = models.CharField(max_length=120, blank=True, default="")
    amount_column = models.CharField(max_length=120, blank=True, default="")
    tolerance_nano = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return self.provider


class ProviderBill(models.Model):
    """A provider's bill that was compared. Its file is not kept: only what differs is."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.CharField(max_length=40)
    file_name = models.CharField(max_length=200)
    match = models.CharField(max_length=7, choices=BillMatch.choices)
    first_on = models.DateField()
    last_on = models.DateField()
    channel_ids = ArrayField(models.UUIDField())
    tolerance_nano = models.BigIntegerField()
    lines = models.IntegerField()
    billed_nano = models.BigIntegerField()
    ours_nano = models.BigIntegerField()
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")

    def __str__(self) -> str:
        return f"{self.provider} {self.first_on} to {self.last_on}"


class DifferenceKind(models.TextChoices):
    DIFFERS = "differs", _("Amounts differ")
    NOT_RECORDED = "not_recorded", _("Not in our records")
    NOT_BILLED = "not_billed", _("Not on the bill")


class BillDifference(models.Model):
    """One line of a bill, or of our records, that the other has not, or has with another amount. It
    is open until somebody settled it."""

    id = models.BigAutoField(primary_key=True)
    bill = models.ForeignKey(ProviderBill, models.CASCADE, related_name="differences")
    n = models.IntegerField()
    kind = models.CharField(max_length=12, choices=DifferenceKind.choices)
    request_id = models.UUIDField(null=True)
    day = models.DateField(null=True)
    model = models.CharField(max_length=200, blank=True, default="")
    billed_nano = models.BigIntegerField()
    ours_nano = models.BigIntegerField()
    note = models.CharField(max_length=500, blank=True, default="")
    settled_at = models.DateTimeField(null=True)
    settled_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["bill", "n"], name="difference_once")]

    def __str__(self) -> str:
        return f"{self.n} of {self.bill_id}"


class ExportState(models.TextChoices):
    QUEUED = "queued", _("Waiting")
    RUNNING = "running", _("Running")
    DONE = "done", _("Ready")
    FAILED = "failed", _("Failed")


class Export(models.Model):
    """A long list as a file that a worker makes: what was asked for, how far it is, and for how
    long the file is kept.

    `query` is that of the page's address, read as at `created_at`; `reach` is how far its maker saw
    when it was made, and who sees less now does not get it. A worker has it until `taken_until`;
    `takes` counts who had it, and only the pieces of the last one are the file.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.CASCADE, related_name="+")
    user = models.ForeignKey("accounts.User", models.CASCADE, null=True, related_name="+")
    key = models.ForeignKey("accounts.Key", models.CASCADE, null=True, related_name="+")
    form = models.CharField(max_length=8, help_text="A form of file, or focus.")
    query = models.TextField()
    language = models.CharField(max_length=16)
    reach = models.JSONField(default=list)
    state = models.CharField(max_length=8, choices=ExportState.choices, default=ExportState.QUEUED)
    done = models.BigIntegerField(default=0, help_text="Rows that were read.")
    total = models.BigIntegerField(null=True, help_text="About how many there are, if known.")
    size = models.BigIntegerField(default=0, help_text="Bytes of the file.")
    detached_months = models.JSONField(
        null=True, help_text="Such as 2026-09: those that it lacks, for they were detached."
    )
    message = models.CharField(max_length=300, blank=True, default="")
    takes = models.IntegerField(default=0)
    taken_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["id"],
                condition=models.Q(state__in=["queued", "running"]),
                name="unfinished_exports",
            ),
            models.Index(fields=["organisation", "user", "-id"], name="exports_of_people"),
        ]

    def __str__(self) -> str:
        return f"{self.form} {self.state}"


class ExportPiece(models.Model):
    """A piece of the file of an export; the file is all of the last taking, in their order."""

    id = models.BigAutoField(primary_key=True)
    export = models.ForeignKey(Export, models.CASCADE, related_name="pieces", db_index=False)
    take = models.IntegerField()
    n = models.IntegerField()
    data = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["export", "take", "n"], name="export_piece_once")
        ]

    def __str__(self) -> str:
        return f"{self.n} of {self.export_id}"


class ViewPage(models.TextChoices):
    """The pages whose filters can be saved, by the names of their addresses."""

    USAGE = "usage", _("Usage")
    EXPLORE = "explore", _("Explore usage")
    REQUESTS = "requests", _("Requests")


class SavedView(models.Model):
    """Filters, grouping and columns of a page under a name: a person's own, or shared with the
    organisation."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.CASCADE, related_name="+")
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="+")
    page = models.CharField(max_length=8, choices=ViewPage.choices)
    name = models.CharField(max_length=80)
    query = models.TextField(blank=True, help_text="Of the page's address.")
    shared = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "user", "page", "name"], name="view_named_once"
            )
        ]

    def __str__(self) -> str:
        return self.name


class ReportSchedule(models.Model):
    """When a saved view is sent by mail: each Monday or 1st of a month, by the wall of a zone."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    view = models.OneToOneField(SavedView, models.CASCADE, related_name="schedule")
    every = models.CharField(max_length=5, help_text="week or month")
    hour = models.SmallIntegerField()
    zone = models.CharField(max_length=60)
    due_at = models.DateTimeField(db_index=True)
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.every} {self.hour}:00 {self.zone}"


class ReportReceiver(models.Model):
    """Somebody whom a schedule writes to, until they leave it."""

    id = models.BigAutoField(primary_key=True)
    schedule = models.ForeignKey(
        ReportSchedule, models.CASCADE, related_name="receivers", db_index=False
    )
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["schedule", "user"], name="report_received_once")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} of {self.schedule_id}"


class ChartNote(models.Model):
    """What somebody noted of a moment, for the charts of usage: of a team, or, without one, of the
    whole organisation."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.CASCADE, related_name="+")
    team = models.ForeignKey("accounts.Team", models.CASCADE, null=True, related_name="+")
    at = models.DateTimeField()
    text = models.CharField(max_length=200)
    user = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["at", "id"]
        indexes = [models.Index(fields=["organisation", "at"], name="notes_by_time")]

    def __str__(self) -> str:
        return self.text
