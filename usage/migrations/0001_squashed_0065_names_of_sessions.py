"""Attempts and usage records, their rollups, reviews, reports and exports; the checks of the books.

Attempts and usage records are tables partitioned by month, written once and never changed. Django
makes plain tables only: their columns are copied from plain tables, so that they are named in one
place.
"""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models
from django.db.models.functions import Now

from lib.database.schema import CreateModels
from lib.ids import new_id
from usage.models import HistogramField
from usage.records.partitions import ensure_at_migration

REPLACED = [
    "0001_squashed_0009_records_under_review",
    "0010_attempts_by_request",
    "0011_reviews",
    "0012_estimated_input",
    "0013_never_emptied",
    "0014_records_by_charge",
    "0015_records_by_failure",
    "0016_only_the_end_is_charged",
    "0017_validate_only_the_end_is_charged",
    "0018_records_by_what_picks_them",
    "0019_last_uses_from_rollups",
    "0020_skipped_channels",
    "0021_why_a_channel",
    "0022_asked_model",
    "0023_levels_of_rollups",
    "0024_records_that_were_stopped",
    "0025_whom_requests_count_to",
    "0026_records_by_label",
    "0027_provider_bills",
    "0028_records_in_their_order",
    "0029_key_of_an_attempt",
    "0030_holds_by_month",
    "0031_exports",
    "0032_saved_views",
    "0033_scheduled_reports",
    "0035_clickhouse",
    "0037_times_in_rollups",
    "0040_detached_months",
    "0045_records_by_app",
    "0046_late_for_detached_months",
    "0047_exports_without_months",
    "0050_saved_by_cache",
    "0051_chart_notes",
    "0055_exports_as_focus",
    "0060_session_ids",
    "0061_records_by_session",
    "0062_findings",
    "0063_conditions_and_parts",
    "0064_accepted_members",
    "0065_names_of_sessions",
]

TABLES = [
    migrations.CreateModel(
        name="Attempt",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "organisation_id",
                    "id",
                    blank=True,
                    editable=False,
                    primary_key=True,
                    serialize=False,
                ),
            ),
            (
                "organisation",
                models.ForeignKey(
                    db_constraint=False,
                    db_index=False,
                    on_delete=models.DO_NOTHING,
                    related_name="+",
                    to="accounts.organisation",
                ),
            ),
            ("id", models.UUIDField()),
            ("request_id", models.UUIDField()),
            ("n", models.SmallIntegerField()),
            ("team_id", models.UUIDField()),
            ("key_id", models.UUIDField()),
            ("user_id", models.BigIntegerField(null=True)),
            ("model", models.CharField(max_length=200)),
            ("channel_id", models.UUIDField()),
            ("channel_name", models.CharField(max_length=120)),
            ("upstream_model", models.CharField(max_length=200)),
            ("dialect", models.CharField(max_length=12)),
            ("operation", models.CharField(max_length=24)),
            ("stream", models.BooleanField()),
            ("source", models.CharField(max_length=12)),
            ("price_version_id", models.BigIntegerField(null=True)),
            ("multiplier_ppm", models.BigIntegerField(db_default=1000000, default=1000000)),
            ("cost_version_id", models.BigIntegerField(null=True)),
            ("hold_nano", models.BigIntegerField()),
            ("admitted_at", models.DateTimeField(db_default=Now())),
            (
                "input_estimate",
                models.IntegerField(
                    db_default=0,
                    help_text="Tokens by its size: what it may have cost where nobody can count.",
                ),
            ),
            (
                "skipped",
                models.JSONField(
                    help_text="The channels before it that could not be used, as [{channel, "
                    "reason}, …].",
                    null=True,
                ),
            ),
            (
                "why",
                models.CharField(
                    db_default="",
                    help_text="Why this channel: usage/requests/choices.py.",
                    max_length=16,
                ),
            ),
            (
                "channel_key",
                models.CharField(
                    db_default="",
                    help_text="How the provider key ends that was used.",
                    max_length=4,
                ),
            ),
            (
                "asked_model",
                models.CharField(
                    db_default="",
                    help_text="The name that was asked for, where it is another one than the "
                    "model's.",
                    max_length=200,
                ),
            ),
            ("project", models.CharField(db_default="", max_length=100)),
            ("tags", models.JSONField(null=True)),
            ("customer", models.CharField(db_default="", max_length=100)),
            (
                "client_app",
                models.CharField(
                    db_default="", help_text="relay/requests/client_apps.py", max_length=64
                ),
            ),
            (
                "end_user",
                models.CharField(
                    db_default="", help_text="The user that the request names.", max_length=256
                ),
            ),
            (
                "channel_key_id",
                models.UUIDField(
                    help_text="The provider key; null where there was none, or none was noted.",
                    null=True,
                ),
            ),
            (
                "session_id",
                models.UUIDField(
                    help_text="The session that it was part of: relay/requests/sessions.py",
                    null=True,
                ),
            ),
            (
                "session",
                models.JSONField(
                    help_text="What its client calls the session and the agent: {name, source, …}.",
                    null=True,
                ),
            ),
        ],
    ),
    migrations.CreateModel(
        name="BooksCheck",
        fields=[
            ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
            ("ran_at", models.DateTimeField(db_default=Now())),
            ("took_ms", models.IntegerField(default=0)),
            ("broken", models.JSONField(default=dict)),
            ("rest_until", models.DateTimeField(db_default=Now())),
            ("aside_since", models.DateTimeField(null=True)),
        ],
        options={
            "constraints": [
                models.CheckConstraint(condition=models.Q(("id", 1)), name="one_books_check")
            ],
        },
    ),
    migrations.CreateModel(
        name="LateTruth",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            ("organisation_id", models.UUIDField()),
            ("attempt_id", models.UUIDField()),
            (
                "source",
                models.CharField(choices=[("late", "Late"), ("look_up", "Look Up")], max_length=8),
            ),
            ("meters", models.JSONField(null=True)),
            ("charge_nano", models.BigIntegerField(null=True)),
            ("raw_usage", models.JSONField(null=True)),
            ("tries", models.SmallIntegerField(default=0)),
            ("ask_at", models.DateTimeField(null=True)),
            ("learnt_at", models.DateTimeField(db_default=Now())),
            ("posted_at", models.DateTimeField(null=True)),
        ],
        options={
            "indexes": [
                models.Index(
                    condition=models.Q(("meters__isnull", False), ("posted_at__isnull", True)),
                    fields=["id"],
                    name="truth_to_post",
                )
            ],
            "constraints": [
                models.UniqueConstraint(fields=("attempt_id", "source"), name="truth_told_once")
            ],
        },
    ),
    migrations.CreateModel(
        name="Rollup",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "organisation_id",
                    "bucket_at",
                    "team_id",
                    "key_id",
                    "user_id",
                    "model",
                    "channel_id",
                    blank=True,
                    editable=False,
                    primary_key=True,
                    serialize=False,
                ),
            ),
            (
                "organisation",
                models.ForeignKey(
                    db_constraint=False,
                    db_index=False,
                    on_delete=models.DO_NOTHING,
                    related_name="+",
                    to="accounts.organisation",
                ),
            ),
            ("bucket_at", models.DateTimeField()),
            ("team_id", models.UUIDField()),
            ("key_id", models.UUIDField()),
            ("user_id", models.BigIntegerField(help_text="0 = nobody's key")),
            ("model", models.CharField(max_length=200)),
            ("channel_id", models.UUIDField(help_text="the nil id = refused before any channel")),
            ("channel_name", models.CharField(default="", max_length=120)),
            ("requests", models.BigIntegerField()),
            ("errors", models.BigIntegerField()),
            ("meters", models.JSONField()),
            ("charge_nano", models.BigIntegerField()),
            ("total_histogram", HistogramField(null=True)),
            ("ttft_histogram", HistogramField(null=True)),
            ("timed_tokens", models.BigIntegerField(null=True)),
            ("timed_ms", models.BigIntegerField(null=True)),
            ("saved_nano", models.BigIntegerField(null=True)),
        ],
    ),
    migrations.CreateModel(
        name="RollupWatermark",
        fields=[
            ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
            ("xid", models.BigIntegerField(default=0)),
            ("complete_to", models.DateTimeField(null=True)),
            ("rest_until", models.DateTimeField(null=True)),
            ("levels_to", models.DateTimeField(null=True)),
        ],
        options={
            "constraints": [
                models.CheckConstraint(condition=models.Q(("id", 1)), name="one_watermark")
            ],
        },
    ),
    migrations.CreateModel(
        name="UsageRecord",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "organisation_id",
                    "id",
                    blank=True,
                    editable=False,
                    primary_key=True,
                    serialize=False,
                ),
            ),
            (
                "organisation",
                models.ForeignKey(
                    db_constraint=False,
                    db_index=False,
                    on_delete=models.DO_NOTHING,
                    related_name="+",
                    to="accounts.organisation",
                ),
            ),
            ("id", models.UUIDField()),
            ("request_id", models.UUIDField()),
            ("final", models.BooleanField()),
            ("team_id", models.UUIDField()),
            ("key_id", models.UUIDField()),
            ("user_id", models.BigIntegerField(null=True)),
            ("model", models.CharField(max_length=200)),
            ("channel_id", models.UUIDField(null=True)),
            ("channel_name", models.CharField(default="", max_length=120)),
            ("upstream_model", models.CharField(default="", max_length=200)),
            ("dialect", models.CharField(max_length=12)),
            ("operation", models.CharField(max_length=24)),
            ("stream", models.BooleanField()),
            ("source", models.CharField(max_length=12)),
            ("admitted_at", models.DateTimeField()),
            ("ended_at", models.DateTimeField(db_default=Now())),
            ("status", models.SmallIntegerField()),
            ("kind", models.CharField(max_length=40, null=True)),
            ("message", models.TextField(default="")),
            ("finish_reason", models.CharField(default="", max_length=40)),
            ("meters", models.JSONField(default=dict)),
            ("charge_nano", models.BigIntegerField(default=0)),
            ("hold_nano", models.BigIntegerField(default=0)),
            ("basis", models.CharField(max_length=12)),
            ("price_version_id", models.BigIntegerField(null=True)),
            ("multiplier_ppm", models.BigIntegerField(db_default=1000000, default=1000000)),
            ("cost_nano", models.BigIntegerField(null=True)),
            ("cost_version_id", models.BigIntegerField(null=True)),
            ("ttft_ms", models.IntegerField(null=True)),
            ("total_ms", models.IntegerField()),
            ("raw_usage", models.JSONField(null=True)),
            (
                "flags",
                ArrayField(base_field=models.CharField(max_length=40), default=list, size=None),
            ),
            ("xid", models.BigIntegerField()),
            ("project", models.CharField(db_default="", max_length=100)),
            ("tags", models.JSONField(null=True)),
            ("customer", models.CharField(db_default="", max_length=100)),
            (
                "client_app",
                models.CharField(
                    db_default="", help_text="relay/requests/client_apps.py", max_length=64
                ),
            ),
            (
                "end_user",
                models.CharField(
                    db_default="", help_text="The user that the request names.", max_length=256
                ),
            ),
            (
                "upstream_request_id",
                models.CharField(
                    db_default="", help_text="What the provider calls the request.", max_length=200
                ),
            ),
            (
                "dropped",
                ArrayField(
                    base_field=models.TextField(),
                    help_text="The parameters that were left out.",
                    null=True,
                    size=None,
                ),
            ),
            (
                "saved_nano",
                models.BigIntegerField(
                    help_text="What cached input saved; null in records of before it was counted.",
                    null=True,
                ),
            ),
            (
                "session_id",
                models.UUIDField(
                    help_text="The session that it was part of: relay/requests/sessions.py",
                    null=True,
                ),
            ),
            (
                "pricing",
                models.JSONField(
                    help_text="Its parts and conditions where it is not its meters at the rates "
                    "of its version, and what of its usage is not classified.",
                    null=True,
                ),
            ),
            (
                "session",
                models.JSONField(
                    help_text="What its client calls the session and the agent: {name, source, …}.",
                    null=True,
                ),
            ),
        ],
    ),
    migrations.CreateModel(
        name="Review",
        fields=[
            ("attempt_id", models.UUIDField(primary_key=True, serialize=False)),
            ("organisation_id", models.UUIDField()),
            ("request_id", models.UUIDField()),
            (
                "settle_as",
                models.CharField(
                    choices=[
                        ("amount", "A specific amount"),
                        ("bound", "The reserved amount"),
                        ("free", "Free of charge"),
                        ("count", "What is known of its count"),
                    ],
                    max_length=6,
                ),
            ),
            ("before_nano", models.BigIntegerField()),
            ("charge_nano", models.BigIntegerField()),
            ("reason", models.CharField(max_length=500)),
            ("decided_at", models.DateTimeField(db_default=Now())),
            (
                "decided_by",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                ),
            ),
        ],
        options={
            "constraints": [
                models.CheckConstraint(
                    condition=models.Q(("charge_nano__gte", 0)), name="review_charge_not_negative"
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="DayRollup",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "organisation_id",
                    "bucket_at",
                    "team_id",
                    "key_id",
                    "user_id",
                    "model",
                    "channel_id",
                    blank=True,
                    editable=False,
                    primary_key=True,
                    serialize=False,
                ),
            ),
            ("bucket_at", models.DateTimeField()),
            ("team_id", models.UUIDField()),
            ("key_id", models.UUIDField()),
            ("user_id", models.BigIntegerField(help_text="0 = nobody's key")),
            ("model", models.CharField(max_length=200)),
            ("channel_id", models.UUIDField(help_text="the nil id = refused before any channel")),
            ("channel_name", models.CharField(default="", max_length=120)),
            ("requests", models.BigIntegerField()),
            ("errors", models.BigIntegerField()),
            ("charge_nano", models.BigIntegerField()),
            ("in_text", models.BigIntegerField(null=True)),
            ("in_cache_read", models.BigIntegerField(null=True)),
            ("out_text", models.BigIntegerField(null=True)),
            ("out_reasoning", models.BigIntegerField(null=True)),
            ("meters", models.JSONField()),
            (
                "organisation",
                models.ForeignKey(
                    db_constraint=False,
                    db_index=False,
                    on_delete=models.DO_NOTHING,
                    related_name="+",
                    to="accounts.organisation",
                ),
            ),
            ("total_histogram", HistogramField(null=True)),
            ("ttft_histogram", HistogramField(null=True)),
            ("timed_tokens", models.BigIntegerField(null=True)),
            ("timed_ms", models.BigIntegerField(null=True)),
            ("saved_nano", models.BigIntegerField(null=True)),
        ],
        options={
            "abstract": False,
        },
    ),
    migrations.CreateModel(
        name="HourRollup",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "organisation_id",
                    "bucket_at",
                    "team_id",
                    "key_id",
                    "user_id",
                    "model",
                    "channel_id",
                    blank=True,
                    editable=False,
                    primary_key=True,
                    serialize=False,
                ),
            ),
            ("bucket_at", models.DateTimeField()),
            ("team_id", models.UUIDField()),
            ("key_id", models.UUIDField()),
            ("user_id", models.BigIntegerField(help_text="0 = nobody's key")),
            ("model", models.CharField(max_length=200)),
            ("channel_id", models.UUIDField(help_text="the nil id = refused before any channel")),
            ("channel_name", models.CharField(default="", max_length=120)),
            ("requests", models.BigIntegerField()),
            ("errors", models.BigIntegerField()),
            ("charge_nano", models.BigIntegerField()),
            ("in_text", models.BigIntegerField(null=True)),
            ("in_cache_read", models.BigIntegerField(null=True)),
            ("out_text", models.BigIntegerField(null=True)),
            ("out_reasoning", models.BigIntegerField(null=True)),
            ("meters", models.JSONField()),
            (
                "organisation",
                models.ForeignKey(
                    db_constraint=False,
                    db_index=False,
                    on_delete=models.DO_NOTHING,
                    related_name="+",
                    to="accounts.organisation",
                ),
            ),
            ("total_histogram", HistogramField(null=True)),
            ("ttft_histogram", HistogramField(null=True)),
            ("timed_tokens", models.BigIntegerField(null=True)),
            ("timed_ms", models.BigIntegerField(null=True)),
            ("saved_nano", models.BigIntegerField(null=True)),
        ],
        options={
            "abstract": False,
        },
    ),
    migrations.CreateModel(
        name="ClientAddress",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "organisation_id",
                    "record_id",
                    blank=True,
                    editable=False,
                    primary_key=True,
                    serialize=False,
                ),
            ),
            ("record_id", models.UUIDField()),
            ("address", models.CharField(max_length=64)),
            ("noted_at", models.DateTimeField(db_default=Now())),
            (
                "organisation",
                models.ForeignKey(
                    db_constraint=False,
                    db_index=False,
                    on_delete=models.DO_NOTHING,
                    related_name="+",
                    to="accounts.organisation",
                ),
            ),
        ],
        options={
            "indexes": [models.Index(fields=["organisation", "noted_at"], name="address_by_age")],
        },
    ),
    migrations.CreateModel(
        name="BillMapping",
        fields=[
            ("provider", models.CharField(max_length=40, primary_key=True, serialize=False)),
            (
                "match",
                models.CharField(
                    choices=[("request", "Request ID"), ("day", "Day and model")],
                    default="day",
                    max_length=7,
                ),
            ),
            ("request_column", models.CharField(blank=True, default="", max_length=120)),
            ("day_column", models.CharField(blank=True, default="", max_length=120)),
            ("model_column", models.CharField(blank=True, default="", max_length=120)),
            ("amount_column", models.CharField(blank=True, default="", max_length=120)),
            ("tolerance_nano", models.BigIntegerField(default=0)),
        ],
    ),
    migrations.CreateModel(
        name="ProviderBill",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("provider", models.CharField(max_length=40)),
            ("file_name", models.CharField(max_length=200)),
            (
                "match",
                models.CharField(
                    choices=[("request", "Request ID"), ("day", "Day and model")], max_length=7
                ),
            ),
            ("first_on", models.DateField()),
            ("last_on", models.DateField()),
            ("channel_ids", ArrayField(base_field=models.UUIDField(), size=None)),
            ("tolerance_nano", models.BigIntegerField()),
            ("lines", models.IntegerField()),
            ("billed_nano", models.BigIntegerField()),
            ("ours_nano", models.BigIntegerField()),
            ("created_at", models.DateTimeField(db_default=Now())),
            (
                "created_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.SET_NULL,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
        ],
    ),
    migrations.CreateModel(
        name="BillDifference",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            ("n", models.IntegerField()),
            (
                "kind",
                models.CharField(
                    choices=[
                        ("differs", "Amounts differ"),
                        ("not_recorded", "Not in our records"),
                        ("not_billed", "Not on the bill"),
                    ],
                    max_length=12,
                ),
            ),
            ("request_id", models.UUIDField(null=True)),
            ("day", models.DateField(null=True)),
            ("model", models.CharField(blank=True, default="", max_length=200)),
            ("billed_nano", models.BigIntegerField()),
            ("ours_nano", models.BigIntegerField()),
            ("note", models.CharField(blank=True, default="", max_length=500)),
            ("settled_at", models.DateTimeField(null=True)),
            (
                "settled_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.SET_NULL,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            (
                "bill",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="differences", to="usage.providerbill"
                ),
            ),
        ],
        options={
            "constraints": [models.UniqueConstraint(fields=("bill", "n"), name="difference_once")],
        },
    ),
    migrations.CreateModel(
        name="Export",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("form", models.CharField(help_text="A form of file, or focus.", max_length=8)),
            ("query", models.TextField()),
            ("language", models.CharField(max_length=16)),
            ("reach", models.JSONField(default=list)),
            (
                "state",
                models.CharField(
                    choices=[
                        ("queued", "Waiting"),
                        ("running", "Running"),
                        ("done", "Ready"),
                        ("failed", "Failed"),
                    ],
                    default="queued",
                    max_length=8,
                ),
            ),
            ("done", models.BigIntegerField(default=0, help_text="Rows that were read.")),
            (
                "total",
                models.BigIntegerField(help_text="About how many there are, if known.", null=True),
            ),
            ("size", models.BigIntegerField(default=0, help_text="Bytes of the file.")),
            ("message", models.CharField(blank=True, default="", max_length=300)),
            ("takes", models.IntegerField(default=0)),
            ("taken_until", models.DateTimeField(null=True)),
            ("created_at", models.DateTimeField(db_default=Now())),
            ("ended_at", models.DateTimeField(null=True)),
            ("expires_at", models.DateTimeField(null=True)),
            (
                "key",
                models.ForeignKey(
                    null=True, on_delete=models.CASCADE, related_name="+", to="accounts.key"
                ),
            ),
            (
                "organisation",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="+", to="accounts.organisation"
                ),
            ),
            (
                "user",
                models.ForeignKey(
                    null=True,
                    on_delete=models.CASCADE,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            (
                "detached_months",
                models.JSONField(
                    help_text="Such as 2026-09: those that it lacks, for they were detached.",
                    null=True,
                ),
            ),
        ],
        options={
            "ordering": ["-id"],
            "indexes": [
                models.Index(
                    condition=models.Q(("state__in", ["queued", "running"])),
                    fields=["id"],
                    name="unfinished_exports",
                ),
                models.Index(fields=["organisation", "user", "-id"], name="exports_of_people"),
            ],
        },
    ),
    migrations.CreateModel(
        name="ExportPiece",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            ("take", models.IntegerField()),
            ("n", models.IntegerField()),
            ("data", models.BinaryField()),
            (
                "export",
                models.ForeignKey(
                    db_index=False,
                    on_delete=models.CASCADE,
                    related_name="pieces",
                    to="usage.export",
                ),
            ),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(fields=("export", "take", "n"), name="export_piece_once")
            ],
        },
    ),
    migrations.CreateModel(
        name="SavedView",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            (
                "page",
                models.CharField(
                    choices=[
                        ("usage", "Usage"),
                        ("explore", "Explore usage"),
                        ("requests", "Requests"),
                    ],
                    max_length=8,
                ),
            ),
            ("name", models.CharField(max_length=80)),
            ("query", models.TextField(blank=True, help_text="Of the page's address.")),
            ("shared", models.BooleanField(default=False)),
            ("created_at", models.DateTimeField(db_default=Now())),
            (
                "organisation",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="+", to="accounts.organisation"
                ),
            ),
            (
                "user",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                ),
            ),
        ],
        options={
            "ordering": ["name", "id"],
            "constraints": [
                models.UniqueConstraint(
                    fields=("organisation", "user", "page", "name"), name="view_named_once"
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="ReportSchedule",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("every", models.CharField(help_text="week or month", max_length=5)),
            ("hour", models.SmallIntegerField()),
            ("zone", models.CharField(max_length=60)),
            ("due_at", models.DateTimeField(db_index=True)),
            ("created_at", models.DateTimeField(db_default=Now())),
            (
                "view",
                models.OneToOneField(
                    on_delete=models.CASCADE, related_name="schedule", to="usage.savedview"
                ),
            ),
        ],
    ),
    migrations.CreateModel(
        name="ReportReceiver",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            (
                "user",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                ),
            ),
            (
                "schedule",
                models.ForeignKey(
                    db_index=False,
                    on_delete=models.CASCADE,
                    related_name="receivers",
                    to="usage.reportschedule",
                ),
            ),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(fields=("schedule", "user"), name="report_received_once")
            ],
        },
    ),
    migrations.CreateModel(
        name="ClickHouseCursor",
        fields=[
            ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
            ("schema", models.SmallIntegerField(default=0)),
            ("fill", models.UUIDField(default=new_id)),
            ("batches", models.BigIntegerField(default=0)),
            ("snapshot", models.TextField(default="")),
            ("target", models.TextField(default="")),
            ("target_to", models.DateTimeField(null=True)),
            ("after_xid", models.BigIntegerField(null=True)),
            ("after_organisation", models.UUIDField(null=True)),
            ("after_id", models.UUIDField(null=True)),
            ("whole_from", models.DateTimeField(null=True)),
            ("complete_to", models.DateTimeField(null=True)),
            (
                "error",
                models.CharField(
                    default="", help_text="Of the last run; none if good.", max_length=200
                ),
            ),
        ],
        options={
            "constraints": [
                models.CheckConstraint(condition=models.Q(("id", 1)), name="one_clickhouse")
            ],
        },
    ),
    migrations.CreateModel(
        name="DetachedMonth",
        fields=[
            ("month", models.DateField(primary_key=True, serialize=False)),
            ("first_id", models.UUIDField()),
            ("end_id", models.UUIDField()),
            ("from_at", models.DateTimeField()),
            ("to_at", models.DateTimeField()),
            ("price_version_ids", ArrayField(base_field=models.BigIntegerField(), size=None)),
            ("detached_at", models.DateTimeField(db_default=Now())),
        ],
    ),
    migrations.CreateModel(
        name="MonthFile",
        fields=[
            (
                "month",
                models.OneToOneField(
                    on_delete=models.CASCADE,
                    primary_key=True,
                    related_name="file",
                    serialize=False,
                    to="usage.detachedmonth",
                ),
            ),
            ("name", models.CharField(max_length=255)),
            ("bytes", models.BigIntegerField()),
            ("digest", models.BinaryField()),
            ("rows", models.JSONField(help_text="By the table.")),
            ("sums", models.JSONField()),
            ("rolled", models.JSONField()),
            ("signature", models.BinaryField()),
        ],
    ),
    migrations.CreateModel(
        name="LateRecord",
        fields=[
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("organisation_id", models.UUIDField()),
            ("row", models.JSONField()),
            ("came_at", models.DateTimeField(db_default=Now())),
        ],
    ),
    migrations.CreateModel(
        name="ChartNote",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("at", models.DateTimeField()),
            ("text", models.CharField(max_length=200)),
            ("created_at", models.DateTimeField(db_default=Now())),
            (
                "organisation",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="+", to="accounts.organisation"
                ),
            ),
            (
                "team",
                models.ForeignKey(
                    null=True, on_delete=models.CASCADE, related_name="+", to="accounts.team"
                ),
            ),
            (
                "user",
                models.ForeignKey(
                    null=True,
                    on_delete=models.SET_NULL,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
        ],
        options={
            "ordering": ["at", "id"],
            "indexes": [models.Index(fields=["organisation", "at"], name="notes_by_time")],
        },
    ),
    migrations.CreateModel(
        name="Finding",
        fields=[
            (
                "id",
                models.BigAutoField(
                    auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                ),
            ),
            ("invariant", models.CharField(max_length=200)),
            ("object", models.CharField(max_length=300)),
            ("expected", models.CharField(blank=True, max_length=200)),
            ("found", models.CharField(blank=True, max_length=200)),
            ("walk", models.CharField(max_length=8)),
            ("first_seen_at", models.DateTimeField(db_default=Now())),
            ("last_seen_at", models.DateTimeField(db_default=Now())),
            ("holds", models.BooleanField(default=True)),
            ("told_at", models.DateTimeField(null=True)),
            ("acknowledged_at", models.DateTimeField(null=True)),
            ("acknowledged_as", models.CharField(blank=True, max_length=254)),
            ("reason", models.CharField(blank=True, max_length=500)),
            (
                "acknowledged_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.SET_NULL,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(
                    condition=models.Q(("acknowledged_at", None)),
                    fields=("invariant", "object"),
                    name="one_open_finding",
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="AcceptedMember",
        fields=[
            (
                "id",
                models.BigAutoField(
                    auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                ),
            ),
            ("provider", models.CharField(max_length=60)),
            ("wire", models.CharField(max_length=12)),
            ("member", models.CharField(max_length=80)),
            ("reason", models.CharField(max_length=500)),
            ("accepted_at", models.DateTimeField(db_default=Now())),
            ("revoked_at", models.DateTimeField(null=True)),
            (
                "accepted_by",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                ),
            ),
            (
                "revoked_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.PROTECT,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(
                    condition=models.Q(("revoked_at", None)),
                    fields=("provider", "wire", "member"),
                    name="one_accepted_member",
                )
            ],
        },
    ),
]

# The transaction that wrote a record, which only the database knows.
LEFT = [migrations.RemoveField("usagerecord", "xid")]

# A request is charged by its final record alone: what a log shows is what it is sorted by.
CHARGED_ONCE = models.CheckConstraint(
    condition=models.Q(("final", True), ("charge_nano", 0), _connector="OR"),
    name="only_the_end_is_charged",
)

TRANSACTION = """
    ALTER TABLE usage_usagerecord
        ALTER COLUMN xid TYPE xid8 USING xid::text::xid8,
        ALTER COLUMN xid SET DEFAULT pg_current_xact_id();
"""


def partition(table: str) -> str:
    """Return the SQL that replaces a plain table, which has no rows, by one partitioned by month.
    Later months bring the triggers with them (usage/records/partitions.py).
    """
    return f"""
    ALTER TABLE {table} RENAME TO {table}_plain;
    CREATE TABLE {table} (
        LIKE {table}_plain INCLUDING DEFAULTS, PRIMARY KEY (organisation_id, id)
    ) PARTITION BY RANGE (id);
    DROP TABLE {table}_plain;
    CREATE TABLE {table}_other PARTITION OF {table} DEFAULT;
    CREATE TRIGGER written_once BEFORE UPDATE OR DELETE ON {table}
        FOR EACH ROW EXECUTE FUNCTION weir_written_once();
    CREATE TRIGGER never_emptied BEFORE TRUNCATE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION weir_written_once();
    CREATE TRIGGER never_emptied BEFORE TRUNCATE ON {table}_other
        FOR EACH STATEMENT EXECUTE FUNCTION weir_written_once();
    """


# By the request alone: an index that begins with the organisation is one that a planner without
# statistics takes for the look-up of an attempt by its key, and it would read every attempt of the
# organisation.
ATTEMPTS_BY_REQUEST = "CREATE INDEX attempt_by_request ON usage_attempt (request_id)"

# The newest come last in all of them, which are read backwards: with the newest first, each page is
# split in the middle and stays half empty.
RECORDS = """
    CREATE INDEX record_by_request ON usage_usagerecord (organisation_id, request_id);
    CREATE INDEX record_by_admission ON usage_usagerecord (admitted_at);
    CREATE INDEX record_by_transaction ON usage_usagerecord (xid);
    CREATE INDEX record_of_model ON usage_usagerecord (organisation_id, model, id) WHERE final;
    CREATE INDEX record_of_key ON usage_usagerecord (organisation_id, key_id, id) WHERE final;
    CREATE INDEX record_of_charge ON usage_usagerecord (organisation_id, charge_nano, id)
        WHERE final;
    CREATE INDEX record_of_person ON usage_usagerecord (organisation_id, user_id, id)
        WHERE final AND user_id IS NOT NULL;
"""

# No sum tells of these requests. Few are of each kind, and only they are in its index.
FEW_RECORDS = """
    -- Those whose provider may know better than we do.
    CREATE INDEX record_unsure ON usage_usagerecord (admitted_at)
        WHERE basis IN ('estimated', 'absorbed');
    CREATE INDEX record_under_review ON usage_usagerecord (organisation_id, id DESC)
        WHERE 'quarantine' = ANY (flags);
    -- With all that a page narrows failures by.
    CREATE INDEX record_by_failure ON usage_usagerecord (organisation_id, id DESC)
        INCLUDE (admitted_at, kind, status, user_id, key_id, model, channel_id)
        WHERE final AND status >= 400 AND status <> 499;
    CREATE INDEX record_by_stop ON usage_usagerecord (organisation_id, id DESC)
        WHERE final AND status = 499;
    CREATE INDEX record_by_project ON usage_usagerecord (organisation_id, project, id)
        WHERE final AND project <> '';
    CREATE INDEX record_by_customer ON usage_usagerecord (organisation_id, customer, id)
        WHERE final AND customer <> '';
    CREATE INDEX record_by_app ON usage_usagerecord (organisation_id, client_app, id)
        WHERE final AND client_app <> '';
    CREATE INDEX record_by_session ON usage_usagerecord (organisation_id, session_id, id)
        WHERE final AND session_id IS NOT NULL;
"""

REVIEWS = """
    CREATE TRIGGER written_once BEFORE UPDATE OR DELETE ON usage_review
        FOR EACH ROW EXECUTE FUNCTION weir_written_once();
    CREATE TRIGGER never_emptied BEFORE TRUNCATE ON usage_review
        FOR EACH STATEMENT EXECUTE FUNCTION weir_written_once();
"""

# A month that is kept in a file takes nothing. A record that comes late for it waits beside it,
# until the month is back.
DETACHED_MONTH = """
    CREATE FUNCTION weir_month_is_detached() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_ARGV[0] = 'usage_usagerecord' AND TG_OP = 'INSERT' THEN
            INSERT INTO usage_laterecord (id, organisation_id, row)
            VALUES (NEW.id, NEW.organisation_id, to_jsonb(NEW)) ON CONFLICT DO NOTHING;
            RETURN NULL;
        END IF;
        RAISE EXCEPTION 'the month of % is kept in a file: % is refused', NEW.id, TG_OP
            USING ERRCODE = 'restrict_violation', HINT = 'See manage.py month list.';
    END $$;
"""

# The price versions that records name stay as they were (I11), also of those in a file.
CHARGED_VERSION_STAYS = """
    CREATE FUNCTION weir_charged_version_stays() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        closed boolean := false;
        last_at timestamptz;
    BEGIN
        IF TG_OP = 'UPDATE' THEN
            closed := (OLD.price_id, OLD.valid_from, OLD.rates, OLD.source, OLD.created_at)
                IS NOT DISTINCT FROM
                (NEW.price_id, NEW.valid_from, NEW.rates, NEW.source, NEW.created_at);
            -- A version may end, or go on, from now on.
            IF closed AND (NEW.valid_to IS NULL OR NEW.valid_to >= now()) THEN
                RETURN NEW;
            END IF;
        END IF;
        SELECT max(admitted_at) INTO last_at FROM (
            SELECT admitted_at FROM usage_attempt
            WHERE price_version_id = OLD.id OR cost_version_id = OLD.id
            UNION ALL
            SELECT admitted_at FROM usage_usagerecord
            WHERE price_version_id = OLD.id OR cost_version_id = OLD.id
            UNION ALL
            SELECT to_at FROM usage_detachedmonth WHERE OLD.id = ANY (price_version_ids)
        ) used WHERE admitted_at >= OLD.created_at;
        IF last_at IS NOT NULL AND NOT (closed AND NEW.valid_to > last_at) THEN
            RAISE EXCEPTION 'price version % was charged: it stays as it is', OLD.id
                USING ERRCODE = 'restrict_violation',
                      HINT = 'Make a new version that begins later.';
        END IF;
        IF TG_OP = 'DELETE' THEN
            RETURN OLD;
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER charged_version_stays BEFORE UPDATE OR DELETE ON billing_priceversion
        FOR EACH ROW EXECUTE FUNCTION weir_charged_version_stays();
"""


class Migration(migrations.Migration):
    initial = True

    replaces = [("usage", name) for name in REPLACED]

    dependencies = [
        ("accounts", "0002_squashed_0025_team_leads"),
        ("billing", "0001_squashed_0053_safeguards"),
    ]

    operations = [
        CreateModels(TABLES),
        migrations.RunSQL(TRANSACTION),
        migrations.SeparateDatabaseAndState(state_operations=LEFT),
        migrations.RunSQL(partition("usage_attempt")),
        migrations.RunSQL(partition("usage_usagerecord")),
        migrations.RunSQL(ATTEMPTS_BY_REQUEST),
        migrations.RunSQL(RECORDS),
        migrations.RunSQL(FEW_RECORDS),
        migrations.AddConstraint("usagerecord", CHARGED_ONCE),
        migrations.RunPython(ensure_at_migration),
        migrations.RunSQL(REVIEWS),
        migrations.RunSQL(DETACHED_MONTH),
        migrations.RunSQL(CHARGED_VERSION_STAYS),
    ]
