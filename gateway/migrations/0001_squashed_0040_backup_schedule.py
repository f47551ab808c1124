"""Channels, routes and models, the traffic that they have had, and media tasks."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import migrations, models
from django.db.models.functions import Now

from lib.database.schema import CreateModels
from lib.ids import new_id

REPLACED = [
    "0001_squashed_0005_public_models",
    "0006_route_can",
    "0007_uncapped_channels",
    "0008_channel_names_client",
    "0009_egress_of_users",
    "0010_edited_channels",
    "0011_traffic",
    "0012_traffic_snapshot",
    "0013_channel_reports",
    "0014_announcements",
    "0015_channel_limits",
    "0016_channel_spend",
    "0017_model_rules",
    "0018_model_aliases",
    "0019_channel_conditions",
    "0020_picks",
    "0021_channel_overrides",
    "0022_channel_egress",
    "0023_channel_testing",
    "0024_model_entries",
    "0025_model_listings",
    "0026_key_traffic",
    "0027_model_charge_rules",
    "0028_shadow_traffic",
    "0030_shadow_spend",
    "0031_media_tasks",
    "0032_traffic_by_key",
    "0033_task_words",
    "0034_task_callbacks",
    "0035_tasks_by_key",
    "0036_task_hooks",
    "0037_state_of_a_person",
    "0038_upstream_price_lists",
    "0039_task_result_days",
    "0040_backup_schedule",
]

TABLES = [
    migrations.CreateModel(
        name="Channel",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("name", models.CharField(max_length=120, unique=True)),
            ("provider", models.CharField(max_length=40)),
            ("base_url", models.CharField(max_length=500)),
            ("enabled", models.BooleanField(default=True)),
            ("priority", models.IntegerField(default=0, help_text="Lower is asked first.")),
            ("weight", models.PositiveIntegerField(default=1)),
            ("retries", models.PositiveSmallIntegerField(default=2)),
            (
                "on_leave",
                models.CharField(
                    choices=[("cancel", "Cancel"), ("drain", "Drain")],
                    default="cancel",
                    max_length=8,
                ),
            ),
            (
                "timeouts",
                models.JSONField(
                    default=dict, help_text="Seconds: connect, first_content, idle, total."
                ),
            ),
            (
                "breaker",
                models.JSONField(
                    default=dict, help_text="enabled, failures, window and open_for in seconds."
                ),
            ),
            ("last_test", models.JSONField(null=True)),
            ("created_at", models.DateTimeField(db_default=Now())),
            (
                "uncapped",
                models.BooleanField(
                    db_default=False,
                    default=False,
                    help_text="Its provider is known to ignore output caps.",
                ),
            ),
            (
                "names_client",
                models.BooleanField(
                    db_default=True,
                    default=True,
                    help_text="Its provider hears the user agents of clients.",
                ),
            ),
            (
                "archived_at",
                models.DateTimeField(help_text="Put away: off, and in no list.", null=True),
            ),
            (
                "rpm",
                models.PositiveIntegerField(
                    help_text="Null: no limit, as of the others.", null=True
                ),
            ),
            ("tpm", models.PositiveIntegerField(null=True)),
            ("parallel", models.PositiveIntegerField(null=True)),
            ("spend_cap_day_nano", models.BigIntegerField(null=True)),
            ("spend_cap_month_nano", models.BigIntegerField(null=True)),
            (
                "conditions",
                models.JSONField(
                    db_default=models.Value({}, output_field=models.JSONField()),
                    default=dict,
                    help_text="Which requests it is for: "
                    "gateway/channels/overrides/condition_rules.py.",
                ),
            ),
            (
                "zero_retention",
                models.BooleanField(
                    db_default=False,
                    default=False,
                    help_text="Its provider keeps no data of requests.",
                ),
            ),
            (
                "region",
                models.CharField(
                    db_default="",
                    default="",
                    help_text="Where it is; empty: not known.",
                    max_length=40,
                ),
            ),
            (
                "overrides",
                models.JSONField(
                    db_default=models.Value({}, output_field=models.JSONField()),
                    default=dict,
                    help_text="What it changes of requests (gateway/channels/overrides/rules.py).",
                ),
            ),
            ("proxy_url", models.CharField(blank=True, db_default="", default="", max_length=500)),
            ("proxy_login", models.BinaryField(null=True)),
            ("ca_bundle", models.TextField(blank=True, db_default="", default="")),
            ("client_cert", models.TextField(blank=True, db_default="", default="")),
            ("client_key", models.BinaryField(null=True)),
            (
                "next_test_at",
                models.DateTimeField(help_text="Null: now, if it is tested at all.", null=True),
            ),
            (
                "taken_in_at",
                models.DateTimeField(help_text="When its rule turned it on again.", null=True),
            ),
            (
                "taken_out",
                models.JSONField(help_text="Off by its rule: cause, what, at.", null=True),
            ),
            (
                "testing",
                models.JSONField(
                    db_default=models.Value({}, output_field=models.JSONField()),
                    default=dict,
                    help_text="gateway/channels/channel_tests/rules.py: CheckRule.",
                ),
            ),
            (
                "check_models_every_h",
                models.PositiveSmallIntegerField(
                    help_text="Hours between two readings of its provider's models; null: none.",
                    null=True,
                ),
            ),
            (
                "next_models_check_at",
                models.DateTimeField(help_text="Null: now, if there is one.", null=True),
            ),
        ],
        options={
            "ordering": ["name"],
            "constraints": [
                models.CheckConstraint(
                    condition=models.Q(("archived_at", None), ("enabled", False), _connector="OR"),
                    name="archived_channel_is_off",
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="AnswerPiece",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "organisation_id",
                    "request_id",
                    "n",
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
            ("request_id", models.UUIDField()),
            ("n", models.IntegerField()),
            ("sealed", models.BinaryField()),
            ("expires_at", models.DateTimeField(db_index=True)),
        ],
    ),
    migrations.CreateModel(
        name="IdempotentAnswer",
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
            ("body_digest", models.BinaryField(max_length=32)),
            ("request_id", models.UUIDField()),
            (
                "state",
                models.CharField(
                    choices=[("running", "Running"), ("ended", "Ended"), ("not_kept", "Not Kept")],
                    max_length=8,
                ),
            ),
            ("head", models.BinaryField(null=True)),
            ("alive_until", models.DateTimeField()),
            ("expires_at", models.DateTimeField(db_index=True)),
        ],
    ),
    migrations.CreateModel(
        name="InstallationSetting",
        fields=[
            ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
            (
                "egress_allow",
                ArrayField(
                    base_field=models.CharField(max_length=50), blank=True, default=list, size=None
                ),
            ),
            (
                "unpriced_models",
                models.CharField(
                    choices=[("reject", "reject"), ("free", "free"), ("alert", "alert")],
                    default="reject",
                    max_length=8,
                ),
            ),
            ("public_models", models.BooleanField(db_default=True, default=True)),
            (
                "egress_allow_users",
                ArrayField(
                    base_field=models.CharField(max_length=50),
                    blank=True,
                    db_default=[],
                    default=list,
                    size=None,
                ),
            ),
            ("public_status", models.BooleanField(db_default=False, default=False)),
            (
                "task_result_days",
                models.PositiveSmallIntegerField(
                    db_default=7,
                    default=7,
                    help_text="How long the result of a media task is served, and its request is "
                    "kept.",
                    validators=[MinValueValidator(1), MaxValueValidator(365)],
                ),
            ),
            (
                "backup_every_hours",
                models.PositiveSmallIntegerField(
                    choices=[(0, "0"), (6, "6"), (12, "12"), (24, "24"), (168, "168")],
                    db_default=0,
                    default=0,
                ),
            ),
            (
                "backup_folder",
                models.CharField(
                    db_default="backups",
                    default="backups",
                    max_length=60,
                    validators=[RegexValidator("^backups(/[a-z0-9][a-z0-9_-]*)*$")],
                ),
            ),
            (
                "backup_hour",
                models.PositiveSmallIntegerField(
                    db_default=3, default=3, validators=[MaxValueValidator(23)]
                ),
            ),
            (
                "backup_keep",
                models.PositiveSmallIntegerField(
                    db_default=7,
                    default=7,
                    validators=[MinValueValidator(1), MaxValueValidator(365)],
                ),
            ),
        ],
        options={
            "constraints": [
                models.CheckConstraint(condition=models.Q(("id", 1)), name="one_settings_row")
            ],
        },
    ),
    migrations.CreateModel(
        name="KeptState",
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
            ("sealed", models.BinaryField()),
            ("expires_at", models.DateTimeField(db_index=True)),
            ("user_id", models.BigIntegerField(null=True)),
        ],
    ),
    migrations.CreateModel(
        name="ChannelKey",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            (
                "channel",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="keys", to="gateway.channel"
                ),
            ),
            ("position", models.PositiveSmallIntegerField()),
            ("sealed", models.BinaryField()),
            (
                "digest",
                models.BinaryField(
                    help_text="Keyed, to tell whether a new value differs.", max_length=32
                ),
            ),
            ("last4", models.CharField(max_length=4)),
            (
                "created_at",
                models.DateTimeField(help_text="Null: before this was kept.", null=True),
            ),
            ("disabled_at", models.DateTimeField(null=True)),
        ],
        options={
            "ordering": ["position"],
            "constraints": [
                models.UniqueConstraint(
                    fields=("channel", "position"), name="channel_key_position_once"
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="PricePreview",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("drafts", models.JSONField()),
            ("start_at", models.DateTimeField()),
            ("end_at", models.DateTimeField()),
            (
                "state",
                models.CharField(
                    choices=[
                        ("queued", "Queued"),
                        ("running", "Running"),
                        ("done", "Done"),
                        ("cancelled", "Cancelled"),
                        ("failed", "Failed"),
                    ],
                    default="queued",
                    max_length=9,
                ),
            ),
            ("done", models.BigIntegerField(default=0)),
            ("total", models.BigIntegerField(null=True)),
            ("place", models.JSONField(default=dict)),
            ("sums", models.JSONField(default=dict)),
            ("result", models.JSONField(null=True)),
            ("message", models.CharField(blank=True, default="", max_length=300)),
            (
                "made_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.SET_NULL,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            ("created_at", models.DateTimeField(db_default=Now())),
            ("started_at", models.DateTimeField(null=True)),
            ("ended_at", models.DateTimeField(null=True)),
        ],
        options={
            "ordering": ["-id"],
            "indexes": [
                models.Index(
                    condition=models.Q(("state__in", ["queued", "running"])),
                    fields=["id"],
                    name="unfinished_previews",
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="Route",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            (
                "channel",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="routes", to="gateway.channel"
                ),
            ),
            ("model", models.CharField(max_length=200)),
            (
                "upstream_model",
                models.CharField(
                    blank=True, default="", help_text="Empty: the same.", max_length=200
                ),
            ),
            (
                "can",
                models.JSONField(
                    db_default=models.Value({}, output_field=models.JSONField()),
                    default=dict,
                    help_text="What an operator knows better than the catalogue: capability -> on.",
                ),
            ),
            ("priority", models.IntegerField(help_text="Null: the channel's.", null=True)),
            ("weight", models.PositiveIntegerField(help_text="Null: the channel's.", null=True)),
            (
                "timeouts",
                models.JSONField(
                    db_default=models.Value({}, output_field=models.JSONField()),
                    default=dict,
                    help_text="Seconds, of those that are not the channel's.",
                ),
            ),
        ],
        options={
            "ordering": ["model"],
            "constraints": [
                models.UniqueConstraint(fields=("channel", "model"), name="route_once")
            ],
        },
    ),
    migrations.CreateModel(
        name="TrafficBucket",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "bucket_at",
                    "channel_id",
                    "model",
                    blank=True,
                    editable=False,
                    primary_key=True,
                    serialize=False,
                ),
            ),
            ("bucket_at", models.DateTimeField()),
            ("channel_id", models.UUIDField(help_text="the nil id = refused before any channel")),
            ("model", models.CharField(max_length=200)),
            ("attempts", models.BigIntegerField()),
            ("failed", models.BigIntegerField()),
            ("requests", models.BigIntegerField()),
            ("failed_requests", models.BigIntegerField()),
            ("output_tokens", models.BigIntegerField()),
            ("writing_ms", models.BigIntegerField()),
            ("first_tokens", ArrayField(base_field=models.BigIntegerField(), size=None)),
            ("answers", models.BigIntegerField(db_default=0, default=0)),
            ("first_token_ms", models.BigIntegerField(db_default=0, default=0)),
            ("answer_ms", models.BigIntegerField(db_default=0, default=0)),
            ("input_tokens", models.BigIntegerField(db_default=0, default=0)),
            ("cached_tokens", models.BigIntegerField(db_default=0, default=0)),
        ],
    ),
    migrations.CreateModel(
        name="TrafficCursor",
        fields=[
            ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
            ("since", models.DateTimeField(null=True)),
            ("snapshot", models.TextField()),
        ],
        options={
            "constraints": [
                models.CheckConstraint(condition=models.Q(("id", 1)), name="one_traffic_cursor")
            ],
        },
    ),
    migrations.CreateModel(
        name="TrafficTotal",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            ("family", models.CharField(max_length=16)),
            ("labels", ArrayField(base_field=models.CharField(max_length=200), size=None)),
            ("value", models.BigIntegerField()),
            ("counts", ArrayField(base_field=models.BigIntegerField(), default=list, size=None)),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(fields=("family", "labels"), name="one_total_for_labels")
            ],
        },
    ),
    migrations.CreateModel(
        name="ChannelReport",
        fields=[
            ("process_id", models.UUIDField(primary_key=True, serialize=False)),
            ("reported_at", models.DateTimeField()),
            ("epoch", models.BigIntegerField()),
            ("channels", models.JSONField()),
        ],
    ),
    migrations.CreateModel(
        name="Announcement",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("title", models.CharField(max_length=120)),
            ("text", models.TextField(blank=True, default="", max_length=2000)),
            (
                "tone",
                models.CharField(
                    choices=[("info", "Information"), ("warn", "Warning"), ("bad", "Incident")],
                    default="info",
                    max_length=4,
                ),
            ),
            ("starts_at", models.DateTimeField()),
            ("ends_at", models.DateTimeField(null=True)),
            ("created_at", models.DateTimeField(db_default=Now())),
            (
                "made_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.SET_NULL,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
        ],
        options={
            "ordering": ["-starts_at"],
            "constraints": [
                models.CheckConstraint(
                    condition=models.Q(
                        ("ends_at", None), ("ends_at__gt", models.F("starts_at")), _connector="OR"
                    ),
                    name="announcement_ends_after_its_start",
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="AnnouncementDismissal",
        fields=[
            (
                "id",
                models.BigAutoField(
                    auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                ),
            ),
            (
                "announcement",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="dismissals", to="gateway.announcement"
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
            "constraints": [
                models.UniqueConstraint(fields=("announcement", "user"), name="dismissed_once")
            ],
        },
    ),
    migrations.CreateModel(
        name="ChannelSpend",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "channel_id",
                    "day",
                    blank=True,
                    editable=False,
                    primary_key=True,
                    serialize=False,
                ),
            ),
            ("channel_id", models.UUIDField()),
            ("day", models.DateField()),
            ("cost_nano", models.BigIntegerField()),
        ],
    ),
    migrations.CreateModel(
        name="ModelRule",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            ("model", models.CharField(max_length=200, unique=True)),
            (
                "fallbacks",
                ArrayField(
                    base_field=models.CharField(max_length=200), blank=True, default=list, size=None
                ),
            ),
            (
                "causes",
                ArrayField(
                    base_field=models.CharField(max_length=16), blank=True, default=list, size=None
                ),
            ),
            ("pick", models.CharField(db_default="weight", default="weight", max_length=12)),
            (
                "charge_rule",
                models.JSONField(
                    blank=True,
                    db_default=models.Value({}, output_field=models.JSONField()),
                    default=dict,
                ),
            ),
            (
                "shadow",
                models.JSONField(
                    blank=True,
                    db_default=models.Value({}, output_field=models.JSONField()),
                    default=dict,
                ),
            ),
        ],
        options={
            "ordering": ["model"],
        },
    ),
    migrations.CreateModel(
        name="ModelAlias",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            ("name", models.CharField(max_length=200, unique=True)),
            ("target", models.CharField(max_length=200)),
        ],
        options={
            "ordering": ["name"],
        },
    ),
    migrations.CreateModel(
        name="ChannelTestRun",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("variant", models.CharField(max_length=8)),
            ("left", models.JSONField(default=list)),
            ("results", models.JSONField(default=list)),
            ("total", models.PositiveIntegerField()),
            ("claimed_until", models.DateTimeField(null=True)),
            ("created_at", models.DateTimeField(db_default=Now())),
            ("ended_at", models.DateTimeField(null=True)),
            (
                "made_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.SET_NULL,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
        ],
        options={
            "ordering": ["-id"],
        },
    ),
    migrations.CreateModel(
        name="CatalogueIgnoreRule",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            ("model", models.CharField(max_length=200)),
            ("field", models.CharField(blank=True, default="", max_length=16)),
        ],
        options={
            "ordering": ["model", "field"],
            "constraints": [
                models.UniqueConstraint(fields=("model", "field"), name="ignored_field_once")
            ],
        },
    ),
    migrations.CreateModel(
        name="CatalogueUpdate",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("source", models.CharField(max_length=60)),
            ("result", models.JSONField()),
            ("created_at", models.DateTimeField(db_default=Now())),
            (
                "made_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.SET_NULL,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
        ],
        options={
            "ordering": ["-id"],
        },
    ),
    migrations.CreateModel(
        name="ModelEntry",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            ("name", models.CharField(max_length=200, unique=True)),
            (
                "can",
                models.JSONField(default=dict, help_text="What is known better: capability -> on."),
            ),
            (
                "context_max",
                models.PositiveIntegerField(help_text="Null: as the catalogue says.", null=True),
            ),
            ("output_max", models.PositiveIntegerField(null=True)),
            ("deprecated_at", models.DateTimeField(null=True)),
            ("sunset_at", models.DateTimeField(null=True)),
            ("replacement", models.CharField(blank=True, default="", max_length=200)),
            (
                "forwards",
                models.BooleanField(
                    default=False, help_text="From its sunset on the replacement answers."
                ),
            ),
            (
                "plans",
                ArrayField(
                    base_field=models.CharField(max_length=120), blank=True, default=list, size=None
                ),
            ),
            (
                "roles",
                ArrayField(
                    base_field=models.CharField(max_length=12), blank=True, default=list, size=None
                ),
            ),
            ("probe", models.JSONField(null=True)),
        ],
        options={
            "ordering": ["name"],
            "constraints": [
                models.CheckConstraint(
                    condition=models.Q(
                        ("sunset_at", None),
                        ("deprecated_at__lte", models.F("sunset_at")),
                        _connector="OR",
                    ),
                    name="model_ends_after_its_deprecation",
                ),
                models.CheckConstraint(
                    condition=models.Q(
                        ("forwards", False),
                        models.Q(("replacement", ""), _negated=True),
                        _connector="OR",
                    ),
                    name="model_forwards_to_another",
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="ModelProposal",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("model", models.CharField(max_length=200)),
            ("field", models.CharField(max_length=16)),
            ("before", models.JSONField(null=True)),
            ("after", models.JSONField(null=True)),
            ("source", models.CharField(max_length=60)),
            (
                "state",
                models.CharField(
                    choices=[
                        ("open", "Open"),
                        ("accepted", "Accepted"),
                        ("dismissed", "Dismissed"),
                    ],
                    default="open",
                    max_length=9,
                ),
            ),
            ("created_at", models.DateTimeField(db_default=Now())),
            ("decided_at", models.DateTimeField(null=True)),
            (
                "decided_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.SET_NULL,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
        ],
        options={
            "ordering": ["model", "field"],
            "indexes": [
                models.Index(
                    condition=models.Q(("state", "open")),
                    fields=["model"],
                    name="open_model_proposals",
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="ModelListing",
        fields=[
            (
                "channel",
                models.OneToOneField(
                    on_delete=models.CASCADE,
                    primary_key=True,
                    related_name="model_listing",
                    serialize=False,
                    to="gateway.channel",
                ),
            ),
            ("listed", models.JSONField(default=list)),
            ("complete", models.BooleanField(default=False)),
            ("known", models.JSONField(default=list)),
            ("told", models.JSONField(default=list)),
            ("checked_at", models.DateTimeField()),
            ("listed_at", models.DateTimeField(null=True)),
            ("fault", models.CharField(blank=True, default="", max_length=20)),
        ],
    ),
    migrations.CreateModel(
        name="KeyTrafficBucket",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "bucket_at",
                    "channel_id",
                    "channel_key",
                    blank=True,
                    editable=False,
                    primary_key=True,
                    serialize=False,
                ),
            ),
            ("bucket_at", models.DateTimeField()),
            ("channel_id", models.UUIDField()),
            ("channel_key", models.CharField(max_length=36)),
            ("attempts", models.BigIntegerField()),
            ("failed", models.BigIntegerField()),
            ("output_tokens", models.BigIntegerField()),
            ("writing_ms", models.BigIntegerField()),
            ("first_tokens", ArrayField(base_field=models.BigIntegerField(), size=None)),
        ],
    ),
    migrations.CreateModel(
        name="ShadowAnswer",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("at", models.DateTimeField(db_default=Now())),
            ("rule", models.CharField(max_length=200)),
            ("request_id", models.UUIDField()),
            ("model", models.CharField(max_length=200)),
            ("main_channel", models.CharField(max_length=120)),
            ("main_status", models.PositiveSmallIntegerField()),
            ("main_ttft_ms", models.PositiveIntegerField(null=True)),
            ("main_total_ms", models.PositiveIntegerField()),
            ("main_tokens", models.BigIntegerField()),
            ("main_finish", models.CharField(max_length=40)),
            ("main_cost_nano", models.BigIntegerField(null=True)),
            ("channel_id", models.UUIDField()),
            ("channel", models.CharField(max_length=120)),
            ("upstream_model", models.CharField(max_length=200)),
            ("fault", models.CharField(max_length=8)),
            ("ttft_ms", models.PositiveIntegerField(null=True)),
            ("total_ms", models.PositiveIntegerField()),
            ("tokens", models.BigIntegerField()),
            ("finish", models.CharField(max_length=40)),
            ("cost_nano", models.BigIntegerField()),
            ("likeness", models.PositiveSmallIntegerField(null=True)),
            ("same_structure", models.BooleanField(null=True)),
        ],
        options={
            "ordering": ["-id"],
            "indexes": [models.Index(fields=["at"], name="shadow_answers_by_time")],
        },
    ),
    migrations.CreateModel(
        name="ShadowSpend",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "day", "rule", blank=True, editable=False, primary_key=True, serialize=False
                ),
            ),
            ("day", models.DateField()),
            ("rule", models.CharField(max_length=200)),
            ("cost_nano", models.BigIntegerField()),
        ],
    ),
    migrations.CreateModel(
        name="MediaTask",
        fields=[
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("public_id", models.CharField(max_length=40, unique=True)),
            ("team_id", models.UUIDField()),
            ("request_id", models.UUIDField(db_index=True)),
            ("operation", models.CharField(max_length=40)),
            ("model", models.CharField(max_length=200)),
            ("form", models.CharField(max_length=40)),
            ("channel_id", models.UUIDField()),
            ("channel_key", models.CharField(db_default="", max_length=4)),
            ("upstream_id", models.CharField(max_length=200)),
            (
                "state",
                models.CharField(
                    choices=[
                        ("queued", "Queued"),
                        ("running", "Running"),
                        ("succeeded", "Succeeded"),
                        ("failed", "Failed"),
                    ],
                    default="queued",
                    max_length=9,
                ),
            ),
            ("progress", models.PositiveSmallIntegerField(default=0)),
            ("seconds", models.PositiveIntegerField()),
            ("size", models.CharField(max_length=12)),
            ("remixed_from", models.CharField(blank=True, default="", max_length=40)),
            ("request", models.BinaryField(null=True)),
            ("result", models.BinaryField(null=True)),
            ("created_at", models.DateTimeField(db_default=Now())),
            ("started_at", models.DateTimeField(null=True)),
            ("ended_at", models.DateTimeField(null=True)),
            ("expires_at", models.DateTimeField(null=True)),
            ("deleted_at", models.DateTimeField(null=True)),
            ("next_poll_at", models.DateTimeField(null=True)),
            ("polls", models.PositiveIntegerField(default=0)),
            ("failures", models.PositiveIntegerField(default=0)),
            (
                "organisation",
                models.ForeignKey(
                    db_constraint=False,
                    db_index=False,
                    on_delete=models.PROTECT,
                    related_name="+",
                    to="accounts.organisation",
                ),
            ),
            (
                "provider_state",
                models.CharField(blank=True, db_default="", default="", max_length=20),
            ),
            ("polled_at", models.DateTimeField(null=True)),
            (
                "callback_token",
                models.CharField(blank=True, db_default="", default="", max_length=43),
            ),
            ("channel_key_id", models.UUIDField(null=True)),
            ("hook", models.BinaryField(null=True)),
        ],
        options={
            "indexes": [
                models.Index(
                    condition=models.Q(("next_poll_at__isnull", False)),
                    fields=["next_poll_at"],
                    name="tasks_to_poll",
                ),
                models.Index(
                    condition=models.Q(("deleted_at", None)),
                    fields=["team_id", "-id"],
                    name="tasks_of_team",
                ),
                models.Index(
                    condition=models.Q(("request", None), ("result", None), _negated=True),
                    fields=["expires_at"],
                    name="tasks_with_content",
                ),
            ],
            "constraints": [
                models.CheckConstraint(
                    condition=models.Q(
                        models.Q(
                            ("ended_at", None),
                            ("next_poll_at__isnull", False),
                            ("state__in", ["queued", "running"]),
                        ),
                        models.Q(
                            ("ended_at__isnull", False),
                            ("expires_at__isnull", False),
                            ("next_poll_at", None),
                            ("state__in", ["succeeded", "failed"]),
                        ),
                        _connector="OR",
                    ),
                    name="task_polled_until_its_end",
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="ChannelKeyUse",
        fields=[
            ("key_id", models.UUIDField(primary_key=True, serialize=False)),
            ("used_at", models.DateTimeField()),
        ],
    ),
    migrations.CreateModel(
        name="UpstreamPriceList",
        fields=[
            (
                "channel",
                models.OneToOneField(
                    on_delete=models.CASCADE,
                    primary_key=True,
                    related_name="upstream_prices",
                    serialize=False,
                    to="gateway.channel",
                ),
            ),
            ("group", models.CharField(blank=True, default="", max_length=120)),
            ("markup_ppm", models.BigIntegerField(null=True)),
            ("result", models.JSONField(default=dict)),
            ("checked_at", models.DateTimeField(null=True)),
            ("read_at", models.DateTimeField(null=True)),
            ("next_check_at", models.DateTimeField(null=True)),
            ("fault", models.CharField(blank=True, default="", max_length=20)),
            ("detail", models.CharField(blank=True, default="", max_length=500)),
        ],
    ),
]

# A column that older processes write; nothing reads it any more.
LEFT = [migrations.RemoveField("mediatask", "channel_key")]

# Traffic is counted from here on.
START = """
    INSERT INTO gateway_trafficcursor (id, snapshot)
    SELECT 1, format('%s:%s:', seen.xid, seen.xid)
    FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())) AS seen (xid)"""


class Migration(migrations.Migration):
    initial = True

    replaces = [("gateway", name) for name in REPLACED]

    dependencies = [("accounts", "0002_squashed_0025_team_leads")]

    operations = [
        CreateModels(TABLES),
        migrations.SeparateDatabaseAndState(state_operations=LEFT),
        migrations.RunSQL(START),
    ]
