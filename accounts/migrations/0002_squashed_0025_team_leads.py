"""Organisations, teams, keys, roles, and how people sign in."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.functions import RandomUUID
from django.db import migrations, models
from django.db.models.functions import Lower, Now

from lib.database.schema import CreateModels
from lib.ids import new_id

REPLACED = [
    "0005_limits_of_all",
    "0006_include_cost",
    "0007_formersecret",
    "0008_secret_check",
    "0009_sign_in_tries",
    "0010_table_preference",
    "0011_people",
    "0012_kek_ring",
    "0013_audit_origin",
    "0014_single_sign_on",
    "0015_session_digests",
    "0016_sign_up_setting",
    "0017_set_up_link",
    "0018_secret_use",
    "0019_data_policy",
    "0020_client_address_days",
    "0021_display_currency",
    "0022_erasures",
    "0023_sign_on_confirmations",
    "0024_mail_server",
    "0025_team_leads",
]

TABLES = [
    migrations.CreateModel(
        name="Epoch",
        fields=[
            ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
            ("n", models.BigIntegerField(default=0)),
        ],
        options={
            "constraints": [
                models.CheckConstraint(condition=models.Q(("id", 1)), name="one_epoch")
            ],
        },
    ),
    migrations.CreateModel(
        name="Organisation",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("name", models.CharField(max_length=120)),
            ("slug", models.SlugField(max_length=60, unique=True)),
            ("currency", models.CharField(default="USD", max_length=3)),
            (
                "retention_hours",
                models.PositiveSmallIntegerField(
                    db_default=24,
                    default=24,
                    help_text="How long answers are kept for requests that go on from them, at "
                    "most 24; 0 keeps nothing.",
                ),
            ),
            ("created_at", models.DateTimeField(db_default=Now())),
            ("parallel", models.PositiveIntegerField(blank=True, null=True)),
            ("rpm", models.PositiveIntegerField(blank=True, null=True)),
            ("tpm", models.PositiveBigIntegerField(blank=True, null=True)),
            (
                "include_cost",
                models.BooleanField(
                    db_default=False,
                    default=False,
                    help_text="Answers tell their charge without being asked.",
                ),
            ),
            ("archived_at", models.DateTimeField(blank=True, null=True)),
            (
                "required_labels",
                ArrayField(
                    base_field=models.CharField(max_length=20),
                    blank=True,
                    db_default=[],
                    default=list,
                    help_text="The labels (project, customer, tags) that each request must have.",
                    size=None,
                ),
            ),
            (
                "second_factor_roles",
                ArrayField(
                    base_field=models.CharField(max_length=40),
                    blank=True,
                    db_default=[],
                    default=list,
                    help_text="The roles whose members must have a second factor to sign in.",
                    size=None,
                ),
            ),
            ("suspended_at", models.DateTimeField(blank=True, null=True)),
            (
                "suspended_reason",
                models.CharField(blank=True, db_default="", default="", max_length=500),
            ),
            (
                "zero_retention",
                models.BooleanField(
                    db_default=False,
                    default=False,
                    help_text="Requests go only to providers that keep no data of them.",
                ),
            ),
            (
                "data_regions",
                ArrayField(
                    base_field=models.CharField(max_length=40),
                    blank=True,
                    db_default=[],
                    default=list,
                    help_text="Requests go only to channels in one of these regions; none = any.",
                    size=None,
                ),
            ),
            (
                "client_address_days",
                models.PositiveSmallIntegerField(
                    db_default=0,
                    default=0,
                    help_text="How long it is kept from which address each request came; 0 keeps "
                    "nothing.",
                ),
            ),
            (
                "display_currency",
                models.CharField(
                    blank=True,
                    db_default="",
                    default="",
                    help_text="Pages show amounts in it too, beside the currency of the books; "
                    "empty = none.",
                    max_length=3,
                ),
            ),
        ],
        options={
            "constraints": [
                models.CheckConstraint(
                    condition=models.Q(("retention_hours__lte", 24)),
                    name="organisation_retention_bounded",
                ),
                models.CheckConstraint(
                    condition=models.Q(("client_address_days__lte", 365)),
                    name="organisation_addresses_bounded",
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="SignInLink",
        fields=[
            ("digest", models.BinaryField(max_length=32, primary_key=True, serialize=False)),
            ("user", models.ForeignKey(on_delete=models.CASCADE, to=settings.AUTH_USER_MODEL)),
            ("expires_at", models.DateTimeField()),
            ("used_at", models.DateTimeField(null=True)),
        ],
    ),
    migrations.CreateModel(
        name="Team",
        fields=[
            ("rpm", models.PositiveIntegerField(blank=True, null=True)),
            ("tpm", models.PositiveBigIntegerField(blank=True, null=True)),
            ("parallel", models.PositiveIntegerField(blank=True, null=True)),
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            (
                "organisation",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="teams", to="accounts.organisation"
                ),
            ),
            ("name", models.CharField(max_length=120)),
            ("slug", models.SlugField(max_length=60)),
            ("created_at", models.DateTimeField(db_default=Now())),
            ("archived_at", models.DateTimeField(blank=True, null=True)),
            (
                "required_labels",
                ArrayField(
                    base_field=models.CharField(max_length=20),
                    blank=True,
                    db_default=[],
                    default=list,
                    help_text="The labels (project, customer, tags) that each request must have.",
                    size=None,
                ),
            ),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(fields=("organisation", "slug"), name="team_slug_once")
            ],
        },
    ),
    migrations.CreateModel(
        name="Key",
        fields=[
            ("rpm", models.PositiveIntegerField(blank=True, null=True)),
            ("tpm", models.PositiveBigIntegerField(blank=True, null=True)),
            ("parallel", models.PositiveIntegerField(blank=True, null=True)),
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            (
                "organisation",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="keys", to="accounts.organisation"
                ),
            ),
            (
                "team",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="keys", to="accounts.team"
                ),
            ),
            (
                "user",
                models.ForeignKey(
                    null=True,
                    on_delete=models.SET_NULL,
                    related_name="keys",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            ("name", models.CharField(max_length=120)),
            (
                "kind",
                models.CharField(
                    choices=[
                        ("relay", "Relay"),
                        ("management", "Management"),
                        ("playground", "Playground"),
                    ],
                    default="relay",
                    max_length=12,
                ),
            ),
            ("digest", models.BinaryField(max_length=32, unique=True)),
            ("prefix", models.CharField(max_length=16)),
            ("last4", models.CharField(max_length=4)),
            (
                "model_patterns",
                ArrayField(
                    base_field=models.CharField(max_length=200),
                    blank=True,
                    default=list,
                    help_text="Names or patterns (gpt-*) that the key may ask; none = all.",
                    size=None,
                ),
            ),
            (
                "endpoints",
                ArrayField(
                    base_field=models.CharField(max_length=40),
                    blank=True,
                    db_default=[],
                    help_text="The operations that the key may call; none = all.",
                    size=None,
                ),
            ),
            (
                "networks",
                ArrayField(
                    base_field=models.CharField(max_length=43),
                    blank=True,
                    db_default=[],
                    help_text="The addresses that the key may be used from; none = all.",
                    size=None,
                ),
            ),
            (
                "tags",
                ArrayField(
                    base_field=models.CharField(max_length=100),
                    blank=True,
                    db_default=[],
                    help_text="Labels of every request of the key, for grouping and budgets.",
                    size=None,
                ),
            ),
            (
                "log_content",
                models.BooleanField(
                    db_default=True,
                    help_text="Whether what is asked and answered may be kept for a while.",
                ),
            ),
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
            ("expires_at", models.DateTimeField(blank=True, null=True)),
            ("disabled", models.BooleanField(default=False)),
            ("revoked_at", models.DateTimeField(blank=True, null=True)),
            (
                "required_labels",
                ArrayField(
                    base_field=models.CharField(max_length=20),
                    blank=True,
                    db_default=[],
                    default=list,
                    help_text="The labels (project, customer, tags) that each request must have.",
                    size=None,
                ),
            ),
            (
                "project",
                models.ForeignKey(
                    blank=True,
                    null=True,
                    on_delete=models.PROTECT,
                    related_name="keys",
                    to="accounts.project",
                ),
            ),
            (
                "service_account",
                models.ForeignKey(
                    blank=True,
                    null=True,
                    on_delete=models.PROTECT,
                    related_name="keys",
                    to="accounts.serviceaccount",
                ),
            ),
            (
                "zero_retention",
                models.BooleanField(
                    db_default=False,
                    default=False,
                    help_text="Requests go only to providers that keep no data of them.",
                ),
            ),
            (
                "data_regions",
                ArrayField(
                    base_field=models.CharField(max_length=40),
                    blank=True,
                    db_default=[],
                    default=list,
                    help_text="Requests go only to channels in one of these regions; none = any.",
                    size=None,
                ),
            ),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(
                    condition=models.Q(("revoked_at", None)),
                    fields=("organisation", "name"),
                    name="live_key_name_once",
                ),
                models.CheckConstraint(
                    condition=models.Q(("user", None), ("service_account", None), _connector="OR"),
                    name="key_of_person_or_service_account",
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="Membership",
        fields=[
            (
                "id",
                models.BigAutoField(
                    auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                ),
            ),
            (
                "user",
                models.ForeignKey(
                    on_delete=models.CASCADE,
                    related_name="memberships",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            (
                "organisation",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="memberships", to="accounts.organisation"
                ),
            ),
            (
                "role",
                models.CharField(
                    choices=[
                        ("owner", "Owner"),
                        ("admin", "Admin"),
                        ("billing", "Billing"),
                        ("developer", "Developer"),
                        ("viewer", "Viewer"),
                        ("custom", "Custom"),
                    ],
                    max_length=12,
                ),
            ),
            ("created_at", models.DateTimeField(db_default=Now())),
            ("limit_id", models.UUIDField(db_default=RandomUUID(), editable=False)),
            ("parallel", models.PositiveIntegerField(blank=True, null=True)),
            ("rpm", models.PositiveIntegerField(blank=True, null=True)),
            ("tpm", models.PositiveBigIntegerField(blank=True, null=True)),
            ("all_teams", models.BooleanField(db_default=True, default=True)),
            (
                "teams",
                models.ManyToManyField(blank=True, related_name="memberships", to="accounts.team"),
            ),
            (
                "custom_role",
                models.ForeignKey(
                    blank=True, null=True, on_delete=models.PROTECT, to="accounts.customrole"
                ),
            ),
            (
                "leads",
                ArrayField(
                    base_field=models.UUIDField(),
                    blank=True,
                    db_default=[],
                    default=list,
                    size=None,
                ),
            ),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(fields=("user", "organisation"), name="membership_once"),
                models.CheckConstraint(
                    condition=models.Q(("role", "custom"), ("custom_role", None), _connector="XOR"),
                    name="membership_custom_role_named",
                ),
                models.CheckConstraint(
                    condition=models.Q(
                        models.Q(("role", "owner"), _negated=True),
                        ("all_teams", True),
                        _connector="OR",
                    ),
                    name="owner_has_all_teams",
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="AuditEvent",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("at", models.DateTimeField(db_default=Now())),
            (
                "actor_user",
                models.ForeignKey(
                    db_constraint=False,
                    null=True,
                    on_delete=models.DO_NOTHING,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            ("actor_key", models.UUIDField(null=True)),
            (
                "organisation",
                models.ForeignKey(
                    null=True,
                    on_delete=models.PROTECT,
                    related_name="+",
                    to="accounts.organisation",
                ),
            ),
            ("action", models.CharField(max_length=60)),
            ("object_type", models.CharField(max_length=40)),
            ("object_id", models.CharField(max_length=60)),
            ("detail", models.JSONField(default=dict)),
            ("address", models.CharField(db_default="", max_length=45)),
            ("client", models.CharField(db_default="", max_length=200)),
            ("session", models.CharField(db_default="", max_length=16)),
            ("request_id", models.CharField(db_default="", max_length=26)),
            ("reason", models.CharField(db_default="", max_length=500)),
        ],
        options={
            "indexes": [
                models.Index(fields=["organisation", "-id"], name="audit_by_organisation"),
                models.Index(fields=["object_id", "-id"], name="audit_by_object"),
            ],
        },
    ),
    migrations.CreateModel(
        name="FormerSecret",
        fields=[
            ("digest", models.BinaryField(max_length=32, primary_key=True, serialize=False)),
            ("last4", models.CharField(max_length=4)),
            ("until", models.DateTimeField()),
            (
                "key",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="former_secrets", to="accounts.key"
                ),
            ),
        ],
    ),
    migrations.CreateModel(
        name="SecretCheck",
        fields=[
            ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
            ("sealed", models.BinaryField()),
            (
                "kek_ids",
                ArrayField(base_field=models.CharField(max_length=8), db_default=[], size=None),
            ),
            ("seal_key", models.BinaryField(null=True)),
        ],
        options={
            "constraints": [
                models.CheckConstraint(condition=models.Q(("id", 1)), name="one_secret_check")
            ],
        },
    ),
    migrations.CreateModel(
        name="TryWindow",
        fields=[
            ("subject", models.BinaryField(max_length=32, primary_key=True, serialize=False)),
            ("tries", models.PositiveIntegerField()),
            ("ends_at", models.DateTimeField(db_index=True)),
        ],
    ),
    migrations.CreateModel(
        name="SignInNetwork",
        fields=[
            (
                "id",
                models.BigAutoField(
                    auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                ),
            ),
            ("network", models.CharField(max_length=43)),
            ("last_at", models.DateTimeField(auto_now=True)),
            (
                "user",
                models.ForeignKey(
                    on_delete=models.CASCADE,
                    related_name="sign_in_networks",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(fields=("user", "network"), name="sign_in_network_once")
            ],
        },
    ),
    migrations.CreateModel(
        name="TablePreference",
        fields=[
            (
                "id",
                models.BigAutoField(
                    auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                ),
            ),
            ("table", models.CharField(max_length=40)),
            (
                "columns",
                ArrayField(
                    base_field=models.CharField(max_length=40), blank=True, default=list, size=None
                ),
            ),
            ("page_size", models.PositiveSmallIntegerField(default=0)),
            (
                "user",
                models.ForeignKey(
                    on_delete=models.CASCADE,
                    related_name="table_preferences",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(fields=("user", "table"), name="table_preference_once")
            ],
        },
    ),
    migrations.CreateModel(
        name="Invitation",
        fields=[
            (
                "role",
                models.CharField(
                    choices=[
                        ("owner", "Owner"),
                        ("admin", "Admin"),
                        ("billing", "Billing"),
                        ("developer", "Developer"),
                        ("viewer", "Viewer"),
                        ("custom", "Custom"),
                    ],
                    max_length=12,
                ),
            ),
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("email", models.EmailField(blank=True, default="", max_length=254)),
            ("all_teams", models.BooleanField(default=True)),
            ("message", models.CharField(blank=True, default="", max_length=500)),
            ("digest", models.BinaryField(max_length=32, unique=True)),
            ("created_at", models.DateTimeField(db_default=Now())),
            ("sent_at", models.DateTimeField(null=True)),
            ("expires_at", models.DateTimeField()),
            ("withdrawn_at", models.DateTimeField(null=True)),
            ("accepted_at", models.DateTimeField(null=True)),
            (
                "accepted_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.SET_NULL,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            (
                "custom_role",
                models.ForeignKey(
                    blank=True, null=True, on_delete=models.PROTECT, to="accounts.customrole"
                ),
            ),
            (
                "invited_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.SET_NULL,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            (
                "organisation",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="invitations", to="accounts.organisation"
                ),
            ),
            (
                "teams",
                models.ManyToManyField(blank=True, related_name="invitations", to="accounts.team"),
            ),
        ],
        options={
            "abstract": False,
            "constraints": [
                models.CheckConstraint(
                    condition=models.Q(("role", "custom"), ("custom_role", None), _connector="XOR"),
                    name="invitation_custom_role_named",
                ),
                models.UniqueConstraint(
                    models.F("organisation"),
                    Lower("email"),
                    condition=models.Q(
                        models.Q(("email", ""), _negated=True),
                        ("accepted_at", None),
                        ("withdrawn_at", None),
                    ),
                    name="open_invitation_once",
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="Project",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("name", models.CharField(max_length=120)),
            ("slug", models.SlugField(max_length=60)),
            ("archived_at", models.DateTimeField(blank=True, null=True)),
            ("created_at", models.DateTimeField(db_default=Now())),
            (
                "organisation",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="projects", to="accounts.organisation"
                ),
            ),
            (
                "team",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="projects", to="accounts.team"
                ),
            ),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(fields=("organisation", "slug"), name="project_slug_once")
            ],
        },
    ),
    migrations.CreateModel(
        name="ServiceAccount",
        fields=[
            (
                "role",
                models.CharField(
                    choices=[
                        ("owner", "Owner"),
                        ("admin", "Admin"),
                        ("billing", "Billing"),
                        ("developer", "Developer"),
                        ("viewer", "Viewer"),
                        ("custom", "Custom"),
                    ],
                    max_length=12,
                ),
            ),
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("name", models.CharField(max_length=120)),
            ("disabled", models.BooleanField(db_default=False, default=False)),
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
            (
                "custom_role",
                models.ForeignKey(
                    blank=True, null=True, on_delete=models.PROTECT, to="accounts.customrole"
                ),
            ),
            (
                "organisation",
                models.ForeignKey(
                    on_delete=models.CASCADE,
                    related_name="service_accounts",
                    to="accounts.organisation",
                ),
            ),
            (
                "team",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="service_accounts", to="accounts.team"
                ),
            ),
        ],
        options={
            "abstract": False,
            "constraints": [
                models.CheckConstraint(
                    condition=models.Q(("role", "custom"), ("custom_role", None), _connector="XOR"),
                    name="serviceaccount_custom_role_named",
                ),
                models.UniqueConstraint(
                    models.F("organisation"), Lower("name"), name="service_account_name_once"
                ),
                models.CheckConstraint(
                    condition=models.Q(("role", "owner"), _negated=True),
                    name="service_account_owns_nothing",
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="CustomRole",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("name", models.CharField(max_length=60)),
            (
                "permissions",
                ArrayField(
                    base_field=models.CharField(max_length=40), blank=True, default=list, size=None
                ),
            ),
            ("created_at", models.DateTimeField(db_default=Now())),
            (
                "organisation",
                models.ForeignKey(
                    on_delete=models.CASCADE,
                    related_name="custom_roles",
                    to="accounts.organisation",
                ),
            ),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(
                    models.F("organisation"), Lower("name"), name="custom_role_name_once"
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="AuditCheck",
        fields=[
            ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
            ("checked_at", models.DateTimeField()),
            ("until", models.DateTimeField(null=True)),
            ("problem", models.TextField(default="")),
        ],
        options={
            "constraints": [
                models.CheckConstraint(condition=models.Q(("id", 1)), name="one_audit_check")
            ],
        },
    ),
    migrations.CreateModel(
        name="SingleSignOn",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("issuer", models.CharField(max_length=500)),
            ("client_id", models.CharField(max_length=200)),
            ("sealed", models.BinaryField()),
            (
                "domains",
                ArrayField(
                    base_field=models.CharField(max_length=253), blank=True, default=list, size=None
                ),
            ),
            ("domains_confirmed", models.BooleanField(db_default=False)),
            ("group_claim", models.CharField(blank=True, default="groups", max_length=100)),
            ("group_rules", models.JSONField(blank=True, default=list)),
            ("default_role", models.CharField(blank=True, default="", max_length=40)),
            (
                "required",
                models.BooleanField(
                    default=False, help_text="Members who are no owners come in by it alone."
                ),
            ),
            ("created_at", models.DateTimeField(db_default=Now())),
            (
                "organisation",
                models.OneToOneField(
                    on_delete=models.CASCADE,
                    related_name="single_sign_on",
                    to="accounts.organisation",
                ),
            ),
            (
                "confirmed_domains",
                ArrayField(
                    base_field=models.CharField(max_length=253),
                    blank=True,
                    db_default=[],
                    default=list,
                    help_text="The domains that an operator has confirmed for the issuer and "
                    "client below.",
                    size=None,
                ),
            ),
            (
                "confirmed_issuer",
                models.CharField(blank=True, db_default="", default="", max_length=500),
            ),
            (
                "confirmed_client_id",
                models.CharField(blank=True, db_default="", default="", max_length=200),
            ),
        ],
    ),
    migrations.CreateModel(
        name="SignUpSetting",
        fields=[
            ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
            (
                "mode",
                models.CharField(
                    choices=[
                        ("off", "Off"),
                        ("invite", "Invite"),
                        ("domain", "Domain"),
                        ("open", "Open"),
                    ],
                    default="invite",
                    max_length=8,
                ),
            ),
        ],
        options={
            "constraints": [
                models.CheckConstraint(condition=models.Q(("id", 1)), name="one_sign_up_setting")
            ],
        },
    ),
    migrations.CreateModel(
        name="SignUpDomain",
        fields=[
            (
                "id",
                models.BigAutoField(
                    auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                ),
            ),
            ("domain", models.CharField(max_length=253, unique=True)),
            (
                "role",
                models.CharField(
                    choices=[
                        ("owner", "Owner"),
                        ("admin", "Admin"),
                        ("billing", "Billing"),
                        ("developer", "Developer"),
                        ("viewer", "Viewer"),
                        ("custom", "Custom"),
                    ],
                    max_length=12,
                ),
            ),
            (
                "organisation",
                models.ForeignKey(
                    on_delete=models.CASCADE,
                    related_name="sign_up_domains",
                    to="accounts.organisation",
                ),
            ),
        ],
        options={
            "constraints": [
                models.CheckConstraint(
                    condition=models.Q(("role__in", ("owner", "custom")), _negated=True),
                    name="sign_up_domain_built_in_role",
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="SetUpLink",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("digest", models.BinaryField(max_length=32, unique=True)),
            ("expires_at", models.DateTimeField()),
            ("used_at", models.DateTimeField(null=True)),
        ],
    ),
    migrations.CreateModel(
        name="SecretUse",
        fields=[
            ("digest", models.BinaryField(max_length=32, primary_key=True, serialize=False)),
            ("at", models.DateTimeField()),
            ("address", models.CharField(blank=True, default="", max_length=45)),
            ("client", models.CharField(blank=True, default="", max_length=60)),
            (
                "key",
                models.ForeignKey(on_delete=models.CASCADE, related_name="uses", to="accounts.key"),
            ),
            (
                "organisation",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="+", to="accounts.organisation"
                ),
            ),
        ],
    ),
    migrations.CreateModel(
        name="Erasure",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("pseudonym", models.CharField(max_length=40, unique=True)),
            ("asked_at", models.DateTimeField(db_default=Now())),
            ("done_at", models.DateTimeField(null=True)),
            ("step", models.CharField(max_length=20)),
            ("waits_for", models.CharField(blank=True, default="", max_length=20)),
            ("counts", models.JSONField(default=dict)),
            ("addresses", ArrayField(base_field=models.TextField(), default=list, size=None)),
            ("names", ArrayField(base_field=models.TextField(), default=list, size=None)),
            ("texts", ArrayField(base_field=models.TextField(), default=list, size=None)),
            ("objects_named", ArrayField(base_field=models.TextField(), default=list, size=None)),
            ("organisations", ArrayField(base_field=models.UUIDField(), default=list, size=None)),
            (
                "asked_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.PROTECT,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            (
                "user",
                models.OneToOneField(
                    on_delete=models.PROTECT, related_name="erasure", to=settings.AUTH_USER_MODEL
                ),
            ),
        ],
    ),
    migrations.CreateModel(
        name="OwnConnection",
        fields=[
            (
                "account",
                models.OneToOneField(
                    on_delete=models.CASCADE,
                    primary_key=True,
                    related_name="own",
                    serialize=False,
                    to="socialaccount.socialaccount",
                ),
            ),
            ("created_at", models.DateTimeField(db_default=Now())),
        ],
    ),
    migrations.CreateModel(
        name="MailServer",
        fields=[
            ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
            ("host", models.CharField(max_length=253)),
            ("port", models.PositiveIntegerField()),
            (
                "encryption",
                models.CharField(
                    choices=[("tls", "Tls"), ("starttls", "Starttls"), ("none", "None")],
                    max_length=8,
                ),
            ),
            ("username", models.CharField(blank=True, default="", max_length=254)),
            ("sealed", models.BinaryField(null=True)),
            ("sender", models.CharField(blank=True, default="", max_length=254)),
        ],
        options={
            "constraints": [
                models.CheckConstraint(condition=models.Q(("id", 1)), name="one_mail_server")
            ],
        },
    ),
]

# What `manage.py createcachetable` would make; here so that a migrated database is complete.
CACHE = """
    CREATE TABLE accounts_cache (
        cache_key varchar(255) PRIMARY KEY,
        value text NOT NULL,
        expires timestamptz NOT NULL
    );
    CREATE INDEX accounts_cache_expires ON accounts_cache (expires);
"""

# A column that older processes write; nothing reads it any more.
LEFT = [migrations.RemoveField("singlesignon", "domains_confirmed")]


class Migration(migrations.Migration):
    replaces = [("accounts", name) for name in REPLACED]

    dependencies = [
        ("accounts", "0001_people"),
        ("socialaccount", "0006_alter_socialaccount_extra_data"),
    ]

    operations = [
        CreateModels(TABLES),
        migrations.SeparateDatabaseAndState(state_operations=LEFT),
        migrations.RunSQL(CACHE),
    ]
