"""Chats, runs, prompts, and the media that were made in them."""

from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Now

from lib.database.schema import CreateModels
from lib.ids import new_id

REPLACED = [
    "0001_squashed_0002_tree_settings_and_sharing",
    "0003_leaving_and_names",
    "0004_shortcuts",
    "0005_sending",
    "0006_temporary",
    "0007_model_choice",
    "0008_payers",
    "0009_files_of_no_message",
    "0010_payer_rules",
    "0011_media_runs",
    "0012_realtime_tickets",
    "0013_kinds_of_media",
    "0014_refused_prompts",
    "0015_titles_by_the_cheapest_model",
]

TABLES = [
    migrations.CreateModel(
        name="Attachment",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
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
                    on_delete=models.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                ),
            ),
            ("name", models.CharField(max_length=200)),
            ("kind", models.CharField(help_text="image, audio, file or text", max_length=8)),
            ("media_type", models.CharField(max_length=100)),
            ("size", models.IntegerField()),
            ("facts", models.JSONField(default=dict)),
            ("data", models.BinaryField()),
            ("created_at", models.DateTimeField(db_default=Now())),
            ("unsent_until", models.DateTimeField(null=True)),
        ],
        options={
            "indexes": [
                models.Index(
                    condition=models.Q(("unsent_until", None), _negated=True),
                    fields=["unsent_until"],
                    name="unsent_files",
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="Conversation",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            (
                "organisation",
                models.ForeignKey(
                    on_delete=models.CASCADE,
                    related_name="conversations",
                    to="accounts.organisation",
                ),
            ),
            (
                "team",
                models.ForeignKey(on_delete=models.PROTECT, related_name="+", to="accounts.team"),
            ),
            (
                "user",
                models.ForeignKey(
                    on_delete=models.CASCADE,
                    related_name="conversations",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            ("title", models.CharField(max_length=120)),
            ("model", models.CharField(max_length=200)),
            ("settings", models.JSONField(default=dict)),
            ("columns", models.JSONField(default=list)),
            (
                "leaf",
                models.ForeignKey(
                    null=True, on_delete=models.SET_NULL, related_name="+", to="playground.message"
                ),
            ),
            ("folder", models.CharField(db_default="", default="", max_length=80)),
            ("pinned", models.BooleanField(db_default=False, default=False)),
            ("archived_at", models.DateTimeField(null=True)),
            ("deleted_at", models.DateTimeField(null=True)),
            ("created_at", models.DateTimeField(db_default=Now())),
            ("updated_at", models.DateTimeField(db_default=Now())),
            (
                "named_by",
                models.CharField(
                    choices=[
                        ("words", "Words"),
                        ("pending", "Pending"),
                        ("model", "Model"),
                        ("person", "Person"),
                    ],
                    db_default="words",
                    default="words",
                    max_length=8,
                ),
            ),
            ("title_request_id", models.UUIDField(null=True)),
            ("ends_at", models.DateTimeField(null=True)),
            ("visit", models.UUIDField(null=True)),
            (
                "key",
                models.ForeignKey(
                    null=True, on_delete=models.SET_NULL, related_name="+", to="accounts.key"
                ),
            ),
            ("project", models.CharField(db_default="", default="", max_length=100)),
        ],
        options={
            "indexes": [
                models.Index(
                    fields=["organisation", "user", "-updated_at"], name="chats_of_a_person"
                ),
                models.Index(
                    condition=models.Q(("ends_at", None), _negated=True),
                    fields=["ends_at"],
                    name="temporary_chats",
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="Message",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            (
                "conversation",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="messages", to="playground.conversation"
                ),
            ),
            (
                "parent",
                models.ForeignKey(
                    null=True,
                    on_delete=models.CASCADE,
                    related_name="children",
                    to="playground.message",
                ),
            ),
            (
                "role",
                models.CharField(
                    choices=[("user", "User"), ("assistant", "Assistant"), ("tool", "Tool")],
                    max_length=12,
                ),
            ),
            ("content", models.TextField(default="")),
            ("reasoning", models.TextField(default="")),
            ("model", models.CharField(default="", max_length=200)),
            (
                "run",
                models.ForeignKey(
                    null=True, on_delete=models.SET_NULL, related_name="+", to="playground.run"
                ),
            ),
            (
                "state",
                models.CharField(
                    choices=[
                        ("running", "Running"),
                        ("done", "Done"),
                        ("stopped", "Stopped"),
                        ("failed", "Failed"),
                        ("interrupted", "Interrupted"),
                        ("refused", "Refused"),
                    ],
                    default="done",
                    max_length=12,
                ),
            ),
            ("request_id", models.UUIDField(null=True)),
            ("parts", models.JSONField(default=dict)),
            ("column", models.SmallIntegerField(db_default=0, default=0)),
            ("edited", models.BooleanField(db_default=False, default=False)),
            ("deleted_at", models.DateTimeField(null=True)),
            ("created_at", models.DateTimeField(db_default=Now())),
        ],
        options={
            "ordering": ["id"],
        },
    ),
    migrations.CreateModel(
        name="Preset",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
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
                    on_delete=models.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                ),
            ),
            ("name", models.CharField(max_length=80)),
            ("shared", models.BooleanField(default=False)),
            ("settings", models.JSONField()),
            ("created_at", models.DateTimeField(db_default=Now())),
        ],
        options={
            "ordering": ["name", "id"],
        },
    ),
    migrations.CreateModel(
        name="Prompt",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
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
                    on_delete=models.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                ),
            ),
            ("slug", models.SlugField(max_length=60)),
            ("name", models.CharField(max_length=80)),
            ("shared", models.BooleanField(default=True)),
            ("production", models.IntegerField(null=True)),
            ("created_at", models.DateTimeField(db_default=Now())),
        ],
        options={
            "ordering": ["name", "id"],
            "constraints": [
                models.UniqueConstraint(fields=("organisation", "slug"), name="prompt_slug_once")
            ],
        },
    ),
    migrations.CreateModel(
        name="PromptVersion",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            (
                "prompt",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="versions", to="playground.prompt"
                ),
            ),
            ("number", models.IntegerField()),
            (
                "user",
                models.ForeignKey(
                    null=True,
                    on_delete=models.SET_NULL,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            ("model", models.CharField(max_length=200)),
            ("settings", models.JSONField()),
            ("note", models.CharField(default="", max_length=200)),
            ("created_at", models.DateTimeField(db_default=Now())),
        ],
        options={
            "ordering": ["-number"],
            "constraints": [
                models.UniqueConstraint(fields=("prompt", "number"), name="prompt_version_once")
            ],
        },
    ),
    migrations.CreateModel(
        name="Run",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            (
                "conversation",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="runs", to="playground.conversation"
                ),
            ),
            (
                "user_message",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="+", to="playground.message"
                ),
            ),
            (
                "assistant_message",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="+", to="playground.message"
                ),
            ),
            (
                "user",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                ),
            ),
            ("model", models.CharField(max_length=200)),
            ("settings", models.JSONField(default=dict)),
            ("batch", models.UUIDField(default=new_id)),
            ("column", models.SmallIntegerField(db_default=0, default=0)),
            ("token", models.UUIDField()),
            ("request_id", models.UUIDField()),
            (
                "state",
                models.CharField(
                    choices=[
                        ("running", "Running"),
                        ("done", "Done"),
                        ("stopped", "Stopped"),
                        ("failed", "Failed"),
                        ("interrupted", "Interrupted"),
                        ("refused", "Refused"),
                    ],
                    default="running",
                    max_length=12,
                ),
            ),
            (
                "process",
                models.CharField(help_text="Host and process id that carry it.", max_length=80),
            ),
            ("heartbeat_at", models.DateTimeField(db_default=Now())),
            ("stop_at", models.DateTimeField(null=True)),
            ("started_at", models.DateTimeField(db_default=Now())),
            ("ended_at", models.DateTimeField(null=True)),
            ("outcome", models.JSONField(null=True)),
            ("left", models.BooleanField(db_default=False, default=False)),
            ("unwatched_ms", models.PositiveIntegerField(null=True)),
            ("watched_until", models.DateTimeField(null=True)),
        ],
        options={
            "indexes": [
                models.Index(
                    condition=models.Q(("ended_at", None)),
                    fields=["heartbeat_at"],
                    name="running_runs",
                ),
                models.Index(fields=["batch"], name="runs_of_a_send"),
            ],
            "constraints": [
                models.UniqueConstraint(fields=("user", "token", "column"), name="run_token_once"),
                models.UniqueConstraint(
                    condition=models.Q(("ended_at", None)),
                    fields=("conversation", "column"),
                    name="one_run_at_a_time",
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="RunEvent",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "run_id", "seq", blank=True, editable=False, primary_key=True, serialize=False
                ),
            ),
            (
                "run",
                models.ForeignKey(
                    db_index=False,
                    on_delete=models.CASCADE,
                    related_name="events",
                    to="playground.run",
                ),
            ),
            ("seq", models.IntegerField()),
            ("html", models.TextField()),
            ("text", models.TextField(default="")),
            ("reasoning", models.TextField(default="")),
            ("wire", models.TextField(db_default="", default="")),
            ("at", models.DateTimeField(db_default=Now())),
        ],
    ),
    migrations.CreateModel(
        name="ShareLink",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            (
                "conversation",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="shares", to="playground.conversation"
                ),
            ),
            (
                "user",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                ),
            ),
            ("digest", models.BinaryField(unique=True)),
            ("members_only", models.BooleanField(default=False)),
            ("system_shown", models.BooleanField(default=False)),
            ("cost_shown", models.BooleanField(default=False)),
            ("snapshot", models.JSONField()),
            ("views", models.IntegerField(default=0)),
            ("expires_at", models.DateTimeField(null=True)),
            ("revoked_at", models.DateTimeField(null=True)),
            ("created_at", models.DateTimeField(db_default=Now())),
        ],
        options={
            "ordering": ["-id"],
        },
    ),
    migrations.CreateModel(
        name="Vote",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
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
                    on_delete=models.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                ),
            ),
            ("batch", models.UUIDField()),
            ("candidates", models.JSONField()),
            ("winner", models.CharField(default="", max_length=200)),
            ("created_at", models.DateTimeField(db_default=Now())),
        ],
        options={
            "constraints": [models.UniqueConstraint(fields=("user", "batch"), name="vote_once")],
        },
    ),
    migrations.CreateModel(
        name="LeavingRule",
        fields=[
            (
                "organisation",
                models.OneToOneField(
                    on_delete=models.CASCADE,
                    primary_key=True,
                    related_name="+",
                    serialize=False,
                    to="accounts.organisation",
                ),
            ),
            ("seconds_max", models.PositiveIntegerField(null=True)),
        ],
    ),
    migrations.CreateModel(
        name="Preference",
        fields=[
            (
                "user",
                models.OneToOneField(
                    on_delete=models.CASCADE,
                    primary_key=True,
                    related_name="+",
                    serialize=False,
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            (
                "leaving",
                models.CharField(
                    choices=[("keep", "Keep"), ("stop", "Stop")], default="keep", max_length=4
                ),
            ),
            ("title_model", models.CharField(default="*", max_length=200)),
            (
                "keys",
                models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict),
            ),
            ("letter_keys", models.BooleanField(db_default=True, default=True)),
            ("enter_sends", models.BooleanField(db_default=True, default=True)),
            ("default_model", models.CharField(db_default="", default="", max_length=200)),
            (
                "favourite_models",
                models.JSONField(db_default=models.Value([], models.JSONField()), default=list),
            ),
        ],
    ),
    migrations.CreateModel(
        name="OrganisationPreference",
        fields=[
            (
                "organisation",
                models.OneToOneField(
                    on_delete=models.CASCADE,
                    primary_key=True,
                    related_name="+",
                    serialize=False,
                    to="accounts.organisation",
                ),
            ),
            ("default_model", models.CharField(default="", max_length=200)),
            ("payer_rules", models.JSONField(db_default={}, default=dict)),
        ],
    ),
    migrations.CreateModel(
        name="PaymentPreference",
        fields=[
            (
                "id",
                models.BigAutoField(
                    auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                ),
            ),
            ("project", models.CharField(default="", max_length=100)),
            (
                "key",
                models.ForeignKey(
                    null=True, on_delete=models.SET_NULL, related_name="+", to="accounts.key"
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
                    on_delete=models.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                ),
            ),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(
                    fields=("user", "organisation"), name="payment_preference_once"
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="MediaRun",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            (
                "kind",
                models.CharField(
                    choices=[
                        ("image", "Image"),
                        ("speech", "Speech"),
                        ("transcription", "Transcription"),
                        ("video", "Video"),
                        ("music", "Music"),
                        ("midjourney", "Midjourney"),
                    ],
                    max_length=16,
                ),
            ),
            ("operation", models.CharField(max_length=40)),
            ("model", models.CharField(max_length=200)),
            ("prompt", models.TextField(default="")),
            ("settings", models.JSONField(default=dict)),
            ("body", models.JSONField(default=dict)),
            ("project", models.CharField(default="", max_length=100)),
            ("batch", models.UUIDField(default=new_id)),
            ("column", models.SmallIntegerField(default=0)),
            ("token", models.UUIDField()),
            ("request_id", models.UUIDField(default=new_id)),
            (
                "state",
                models.CharField(
                    choices=[
                        ("running", "Running"),
                        ("done", "Done"),
                        ("stopped", "Stopped"),
                        ("failed", "Failed"),
                        ("interrupted", "Interrupted"),
                        ("refused", "Refused"),
                    ],
                    default="running",
                    max_length=12,
                ),
            ),
            ("text", models.TextField(default="")),
            ("facts", models.JSONField(default=dict)),
            ("task", models.CharField(default="", max_length=40)),
            ("heartbeat_at", models.DateTimeField(db_default=Now())),
            ("stop_at", models.DateTimeField(null=True)),
            ("started_at", models.DateTimeField(db_default=Now())),
            ("ended_at", models.DateTimeField(null=True)),
            ("outcome", models.JSONField(null=True)),
            (
                "key",
                models.ForeignKey(
                    null=True, on_delete=models.SET_NULL, related_name="+", to="accounts.key"
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
                    on_delete=models.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                ),
            ),
        ],
        options={
            "indexes": [
                models.Index(fields=["organisation", "user", "-id"], name="media_of_a_person"),
                models.Index(
                    condition=models.Q(("ended_at", None)),
                    fields=["heartbeat_at"],
                    name="running_media",
                ),
            ],
            "constraints": [
                models.UniqueConstraint(fields=("user", "token", "column"), name="media_token_once")
            ],
        },
    ),
    migrations.CreateModel(
        name="MediaFile",
        fields=[
            (
                "id",
                models.BigAutoField(
                    auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                ),
            ),
            ("role", models.CharField(max_length=8)),
            ("position", models.SmallIntegerField(default=0)),
            ("name", models.CharField(max_length=200)),
            (
                "file",
                models.ForeignKey(
                    null=True,
                    on_delete=models.SET_NULL,
                    related_name="+",
                    to="playground.attachment",
                ),
            ),
            (
                "run",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="files", to="playground.mediarun"
                ),
            ),
        ],
        options={
            "ordering": ["id"],
        },
    ),
    migrations.CreateModel(
        name="RealtimeTicket",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("project", models.CharField(default="", max_length=100)),
            ("model", models.CharField(max_length=200)),
            ("digest", models.BinaryField(unique=True)),
            ("expires_at", models.DateTimeField()),
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
                    on_delete=models.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                ),
            ),
        ],
    ),
]


class Migration(migrations.Migration):
    initial = True

    replaces = [("playground", name) for name in REPLACED]

    dependencies = [("accounts", "0002_squashed_0025_team_leads")]

    operations = [CreateModels(TABLES)]
