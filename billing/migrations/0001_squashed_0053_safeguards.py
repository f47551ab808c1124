"""The ledger, holds, prices, budgets, money in, invoices, plans, and seals that prove the books.

What is written once is guarded by the database itself (I2): triggers refuse an edit whoever tries,
and the owner of the tables has no right to one.
"""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models
from django.db.models.functions import Cast, Now, NullIf

from billing.models.budgets import alert_percents
from lib.database.partition_split import split_by_month
from lib.database.schema import CreateModels
from lib.ids import new_id

REPLACED = [
    "0001_squashed_0011_listed_postings",
    "0012_looked_up_by_key",
    "0013_kept_holds_and_costs",
    "0014_budget_alerts_and_raises",
    "0015_plan_cuts",
    "0016_refused_reversals_and_grants",
    "0017_credit_lines",
    "0018_removed_budgets",
    "0019_drafts_side_by_side",
    "0020_never_emptied",
    "0021_cancelled_top_ups",
    "0022_kept_holds",
    "0023_seal_cuts",
    "0024_plans_of_teams_and_members",
    "0025_channel_limits",
    "0026_organisation_charge_rules",
    "0027_books_walks",
    "0028_holds_beside_their_end",
    "0035_invoices",
    "0036_lines_in_their_posting",
    "0037_one_posting_ends_a_hold",
    "0038_holds_without_a_posting",
    "0039_postings_in_their_order",
    "0040_subscriptions",
    "0041_invoice_payments",
    "0042_spending_counts",
    "0044_included_units",
    "0049_exchange_rates",
    "0050_rewritten_seals",
    "0051_walks_without_end",
    "0052_plan_multipliers",
    "0053_safeguards",
]

TABLES = [
    migrations.CreateModel(
        name="Process",
        fields=[
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("alive_until", models.DateTimeField()),
            ("suspected_at", models.DateTimeField(null=True)),
        ],
    ),
    migrations.CreateModel(
        name="PromoMark",
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
            ("entry_id", models.BigIntegerField()),
            ("counted_at", models.DateTimeField(null=True)),
        ],
    ),
    migrations.CreateModel(
        name="RateSecond",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "subject_id",
                    "second",
                    blank=True,
                    editable=False,
                    primary_key=True,
                    serialize=False,
                ),
            ),
            ("subject_id", models.UUIDField()),
            ("second", models.BigIntegerField()),
            ("requests", models.IntegerField()),
            ("tokens", models.BigIntegerField()),
        ],
    ),
    migrations.CreateModel(
        name="WalletSetting",
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
            ("low_nano", models.BigIntegerField(blank=True, null=True)),
            ("low_told_at", models.DateTimeField(null=True)),
            ("auto_enabled", models.BooleanField(default=False)),
            ("auto_below_nano", models.BigIntegerField(default=10000000000)),
            ("auto_amount_nano", models.BigIntegerField(default=50000000000)),
            ("processor", models.CharField(blank=True, default="", max_length=12)),
            (
                "customer_ref",
                models.CharField(
                    blank=True,
                    default="",
                    help_text="Whom the processor keeps the card for.",
                    max_length=120,
                ),
            ),
        ],
    ),
    migrations.CreateModel(
        name="Account",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            (
                "organisation",
                models.ForeignKey(
                    db_index=False,
                    on_delete=models.PROTECT,
                    related_name="+",
                    to="accounts.organisation",
                ),
            ),
            (
                "kind",
                models.CharField(
                    choices=[
                        ("customer:available", "Available"),
                        ("customer:held", "Held"),
                        ("customer:debt", "Debt"),
                        ("revenue", "Revenue"),
                        ("platform:loss", "Loss"),
                        ("provider:payable", "Payable"),
                        ("provider:cost", "Cost"),
                        ("equity:opening", "Opening"),
                        ("equity:adjustment", "Adjustment"),
                        ("promo:issued", "Promo Issued"),
                        ("promo:available", "Promo Available"),
                        ("promo:earmarked", "Promo Earmarked"),
                        ("processor:received:stripe", "Received Stripe"),
                        ("processor:received:manual", "Received Manual"),
                        ("processor:clearing:stripe", "Clearing Stripe"),
                        ("processor:clearing:manual", "Clearing Manual"),
                    ],
                    max_length=32,
                ),
            ),
            ("currency", models.CharField(default="USD", max_length=3)),
            ("balance_nano", models.BigIntegerField(default=0)),
            (
                "guards",
                models.BigIntegerField(
                    db_default=0,
                    help_text="Counts the changes of the budgets that stand over this account.",
                ),
            ),
            ("overdraft_nano", models.BigIntegerField(db_default=0, default=0)),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(
                    fields=("organisation", "kind", "currency"), name="account_once"
                ),
                models.CheckConstraint(
                    condition=models.Q(
                        models.Q(
                            ("kind__in", ["customer:available", "customer:held"]), _negated=True
                        ),
                        ("balance_nano__gte", models.F("overdraft_nano") * models.Value(-1)),
                        _connector="OR",
                    ),
                    name="customer_balance_not_negative",
                ),
                models.CheckConstraint(
                    condition=models.Q(
                        ("overdraft_nano", 0),
                        models.Q(("kind", "customer:available"), ("overdraft_nano__gt", 0)),
                        _connector="OR",
                    ),
                    name="overdraft_of_available",
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="Budget",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            (
                "organisation",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="budgets", to="accounts.organisation"
                ),
            ),
            (
                "scope",
                models.CharField(
                    choices=[
                        ("organisation", "Organisation"),
                        ("team", "Team"),
                        ("user", "User"),
                        ("key", "Key"),
                        ("model", "Model"),
                        ("project", "Project"),
                        ("tag", "Tag"),
                        ("customer", "Customer"),
                    ],
                    max_length=12,
                ),
            ),
            ("subject", models.CharField(blank=True, default="", max_length=200)),
            ("amount_nano", models.BigIntegerField()),
            (
                "period",
                models.CharField(
                    choices=[
                        ("hour", "Hour"),
                        ("day", "Day"),
                        ("week", "Week"),
                        ("month", "Month"),
                        ("total", "Total"),
                    ],
                    max_length=5,
                ),
            ),
            ("anchor", models.SmallIntegerField()),
            ("timezone", models.CharField(default="UTC", max_length=64)),
            ("enabled", models.BooleanField(default=True)),
            ("created_at", models.DateTimeField(db_default=Now())),
            (
                "action",
                models.CharField(
                    choices=[("block", "Block"), ("warn", "Warn"), ("slow", "Slow")],
                    db_default="block",
                    default="block",
                    max_length=5,
                ),
            ),
            (
                "alert_forecast",
                models.BooleanField(
                    db_default=False,
                    default=False,
                    help_text="Notify when forecast to exceed the limit.",
                ),
            ),
            (
                "alert_percents",
                ArrayField(
                    base_field=models.PositiveSmallIntegerField(),
                    db_default=[50, 80, 100],
                    default=alert_percents,
                    size=None,
                ),
            ),
            ("raised_nano", models.BigIntegerField(db_default=0, default=0)),
            ("raised_until", models.DateTimeField(null=True)),
            ("removed_at", models.DateTimeField(null=True)),
        ],
        options={
            "constraints": [
                models.CheckConstraint(
                    condition=models.Q(("amount_nano__gte", 0), ("raised_nano__gte", 0)),
                    name="budget_not_negative",
                ),
                models.UniqueConstraint(
                    condition=models.Q(("removed_at", None)),
                    fields=("organisation", "scope", "subject", "period"),
                    name="budget_once",
                ),
            ],
            "indexes": [
                models.Index(
                    condition=models.Q(("raised_until__isnull", False)),
                    fields=["raised_until"],
                    name="budgets_raised",
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="BudgetWindow",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            (
                "budget",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="windows", to="billing.budget"
                ),
            ),
            ("starts_at", models.DateTimeField()),
            ("ends_at", models.DateTimeField()),
            ("cap_nano", models.BigIntegerField()),
            ("held_nano", models.BigIntegerField(db_default=0)),
            ("spent_nano", models.BigIntegerField(db_default=0)),
            ("brought_nano", models.BigIntegerField(db_default=0)),
            ("refused_at", models.DateTimeField(null=True)),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(fields=("budget", "starts_at"), name="budget_window_once"),
                models.CheckConstraint(
                    condition=models.Q(("held_nano__gte", 0), ("spent_nano__gte", 0)),
                    name="budget_window_not_negative",
                ),
                models.CheckConstraint(
                    condition=models.Q(
                        ("cap_nano__gte", models.F("held_nano") + models.F("spent_nano"))
                    ),
                    name="budget_never_exceeded",
                ),
            ],
            "indexes": [models.Index(fields=["ends_at"], name="budget_windows_by_end")],
        },
    ),
    migrations.CreateModel(
        name="CodeBatch",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("name", models.CharField(max_length=120)),
            ("value_nano", models.BigIntegerField()),
            ("currency", models.CharField(default="USD", max_length=3)),
            ("count", models.PositiveIntegerField()),
            ("max_uses", models.PositiveIntegerField(default=1)),
            ("expires_at", models.DateTimeField(blank=True, null=True)),
            (
                "credit_days",
                models.PositiveIntegerField(
                    blank=True, help_text="How long the credit lives; none = for ever.", null=True
                ),
            ),
            ("created_at", models.DateTimeField(db_default=Now())),
            (
                "created_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.PROTECT,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            ("downloaded_at", models.DateTimeField(null=True)),
            ("killed_at", models.DateTimeField(null=True)),
        ],
        options={
            "constraints": [
                models.CheckConstraint(
                    condition=models.Q(("value_nano__gt", 0)), name="code_has_value"
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="Code",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            (
                "batch",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="codes", to="billing.codebatch"
                ),
            ),
            ("digest", models.BinaryField(max_length=32, unique=True)),
            ("uses", models.PositiveIntegerField(default=0)),
        ],
    ),
    migrations.CreateModel(
        name="Hold",
        fields=[
            ("id", models.UUIDField(primary_key=True, serialize=False)),
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
            ("amount_nano", models.BigIntegerField()),
            (
                "state",
                models.CharField(
                    choices=[
                        ("open", "Open"),
                        ("kept", "Kept"),
                        ("settled", "Settled"),
                        ("voided", "Voided"),
                        ("expired", "Expired"),
                    ],
                    default="open",
                    max_length=8,
                ),
            ),
            ("opened_at", models.DateTimeField(db_default=Now())),
            ("expires_at", models.DateTimeField()),
            ("resolved_at", models.DateTimeField(null=True)),
            ("window_ids", ArrayField(base_field=models.BigIntegerField(), null=True, size=None)),
            ("rated_ids", ArrayField(base_field=models.UUIDField(), null=True, size=None)),
            ("tokens", models.BigIntegerField(null=True)),
            ("leased_key_id", models.UUIDField(null=True)),
            ("leased_team_id", models.UUIDField(null=True)),
            (
                "process_id",
                models.UUIDField(
                    db_default=Cast(
                        NullIf(
                            models.Func(
                                models.Value("weir.process"),
                                models.Value(True),
                                function="current_setting",
                            ),
                            models.Value(""),
                        ),
                        models.UUIDField(),
                    ),
                    null=True,
                ),
            ),
            ("mark", models.JSONField(null=True)),
            ("leased_member_id", models.UUIDField(null=True)),
            ("leased_organisation_id", models.UUIDField(null=True)),
            ("leased_channel_id", models.UUIDField(null=True)),
            ("posted", models.BooleanField(db_default=True)),
            ("included_nano", models.BigIntegerField(null=True)),
            ("quota_ids", ArrayField(base_field=models.BigIntegerField(), null=True, size=None)),
            ("quota_units", ArrayField(base_field=models.BigIntegerField(), null=True, size=None)),
        ],
        options={
            "indexes": [
                models.Index(
                    condition=models.Q(("state", "open")), fields=["expires_at"], name="open_holds"
                ),
                models.Index(
                    condition=models.Q(("leased_key_id__isnull", False), ("state", "open")),
                    fields=["leased_key_id"],
                    name="open_holds_of_key",
                ),
                models.Index(
                    condition=models.Q(("leased_team_id__isnull", False), ("state", "open")),
                    fields=["leased_team_id"],
                    name="open_holds_of_team",
                ),
                models.Index(
                    condition=models.Q(
                        ("leased_organisation_id__isnull", False), ("state", "open")
                    ),
                    fields=["leased_organisation_id"],
                    name="open_holds_of_organisation",
                ),
                models.Index(
                    condition=models.Q(("leased_member_id__isnull", False), ("state", "open")),
                    fields=["leased_member_id"],
                    name="open_holds_of_member",
                ),
                models.Index(
                    condition=models.Q(("state", "kept")),
                    fields=["organisation"],
                    name="kept_holds",
                ),
                models.Index(
                    condition=models.Q(("leased_channel_id__isnull", False), ("state", "open")),
                    fields=["leased_channel_id"],
                    name="open_holds_of_channel",
                ),
            ],
            "constraints": [
                models.CheckConstraint(
                    condition=models.Q(("amount_nano__gte", 0)), name="hold_not_negative"
                ),
                models.CheckConstraint(
                    condition=models.Q(
                        models.Q(("resolved_at", None), ("state", "open")),
                        models.Q(
                            models.Q(("state", "open"), _negated=True),
                            ("resolved_at__isnull", False),
                        ),
                        _connector="OR",
                    ),
                    name="hold_open_until_resolved",
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="IdempotentAnswer",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            (
                "owner",
                models.CharField(help_text="An organisation, or an operator.", max_length=80),
            ),
            ("key_digest", models.BinaryField(max_length=32)),
            ("asked_digest", models.BinaryField(max_length=32)),
            ("status", models.SmallIntegerField()),
            ("sealed", models.BinaryField()),
            ("created_at", models.DateTimeField(db_default=Now())),
        ],
        options={
            "indexes": [models.Index(fields=["created_at"], name="answers_by_age")],
            "constraints": [
                models.UniqueConstraint(fields=("owner", "key_digest"), name="answer_once")
            ],
        },
    ),
    migrations.CreateModel(
        name="Plan",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            ("name", models.CharField(max_length=120, unique=True)),
            ("multiplier_ppm", models.BigIntegerField(default=1000000)),
            (
                "model_patterns",
                ArrayField(
                    base_field=models.CharField(max_length=200), blank=True, default=list, size=None
                ),
            ),
        ],
        options={
            "ordering": ["name"],
            "constraints": [
                models.CheckConstraint(
                    condition=models.Q(
                        ("multiplier_ppm__gte", 0), ("multiplier_ppm__lte", 1000000000)
                    ),
                    name="plan_multiplier_in_range",
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="OrganisationPlan",
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
            (
                "plan",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="organisations", to="billing.plan"
                ),
            ),
        ],
    ),
    migrations.CreateModel(
        name="Posting",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("idempotency_id", models.CharField(max_length=120, null=True)),
            ("kind", models.CharField(max_length=24)),
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
            ("cause", models.JSONField(default=dict)),
            ("actor", models.CharField(blank=True, default="", max_length=80)),
            ("created_at", models.DateTimeField(db_default=Now())),
            ("attempt_id", models.UUIDField(null=True)),
            ("account_ids", ArrayField(base_field=models.BigIntegerField(), null=True, size=None)),
            ("amounts_nano", ArrayField(base_field=models.BigIntegerField(), null=True, size=None)),
            ("entry_id", models.BigIntegerField(null=True)),
        ],
        options={
            "indexes": [
                models.Index(
                    condition=models.Q(
                        (
                            "kind__in",
                            (
                                "opening",
                                "adjust",
                                "reverse",
                                "redeem",
                                "lapse",
                                "topup",
                                "refund",
                                "dispute",
                                "reinstate",
                            ),
                        )
                    ),
                    fields=["organisation", "-id"],
                    name="postings_listed",
                ),
                models.Index(fields=["organisation", "id"], name="posting_of_organisation"),
            ],
            "constraints": [
                models.UniqueConstraint(fields=("idempotency_id",), name="posting_once")
            ],
        },
    ),
    migrations.CreateModel(
        name="Credit",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            (
                "organisation",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="+", to="accounts.organisation"
                ),
            ),
            ("amount_nano", models.BigIntegerField()),
            (
                "kind",
                models.CharField(
                    choices=[("cash", "Cash"), ("promo", "Promo")], default="cash", max_length=5
                ),
            ),
            ("expires_at", models.DateTimeField(blank=True, null=True)),
            ("reason", models.CharField(max_length=500)),
            ("document", models.CharField(blank=True, default="", max_length=200)),
            (
                "reverses",
                models.ForeignKey(
                    db_constraint=False,
                    db_index=False,
                    null=True,
                    on_delete=models.PROTECT,
                    related_name="+",
                    to="billing.posting",
                ),
            ),
            (
                "state",
                models.CharField(
                    choices=[("waiting", "Waiting"), ("posted", "Posted"), ("refused", "Refused")],
                    max_length=7,
                ),
            ),
            (
                "asked_by",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                ),
            ),
            ("asked_at", models.DateTimeField(db_default=Now())),
            (
                "decided_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.PROTECT,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            ("decided_at", models.DateTimeField(null=True)),
        ],
        options={
            "indexes": [
                models.Index(
                    condition=models.Q(("state", "waiting")), fields=["-id"], name="credits_waiting"
                )
            ],
            "constraints": [
                models.CheckConstraint(
                    condition=models.Q(("decided_by", models.F("asked_by")), _negated=True),
                    name="second_person",
                ),
                models.CheckConstraint(
                    condition=models.Q(("amount_nano", 0), _negated=True), name="credit_not_zero"
                ),
                models.UniqueConstraint(
                    condition=models.Q(("state", "refused"), _negated=True),
                    fields=("reverses",),
                    name="reversed_once",
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="Price",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            ("model", models.CharField(max_length=200)),
            (
                "kind",
                models.CharField(
                    choices=[("charge", "Charge"), ("cost", "Cost")],
                    db_default="charge",
                    default="charge",
                    max_length=6,
                ),
            ),
            ("channel", models.CharField(blank=True, db_default="", default="", max_length=120)),
            (
                "service_tier",
                models.CharField(blank=True, db_default="", default="", max_length=40),
            ),
            ("hours", models.CharField(blank=True, db_default="", default="", max_length=11)),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(
                    fields=("model", "kind", "channel", "service_tier", "hours"), name="price_once"
                ),
                models.CheckConstraint(
                    condition=models.Q(("kind", "cost"), ("channel", ""), _connector="OR"),
                    name="charge_has_no_channel",
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="PriceProposal",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("model", models.CharField(max_length=200)),
            (
                "kind",
                models.CharField(
                    choices=[("charge", "Charge"), ("cost", "Cost")], default="charge", max_length=6
                ),
            ),
            ("channel", models.CharField(blank=True, default="", max_length=120)),
            ("service_tier", models.CharField(blank=True, default="", max_length=40)),
            ("hours", models.CharField(blank=True, default="", max_length=11)),
            (
                "valid_from",
                models.DateTimeField(help_text="null: from the acceptance on", null=True),
            ),
            ("rates", models.JSONField(null=True)),
            ("replaces", models.JSONField(null=True)),
            ("source", models.CharField(max_length=60)),
            ("note", models.CharField(blank=True, default="", max_length=500)),
            (
                "state",
                models.CharField(
                    choices=[
                        ("open", "Open"),
                        ("second", "Second"),
                        ("accepted", "Accepted"),
                        ("ignored", "Ignored"),
                    ],
                    default="open",
                    max_length=8,
                ),
            ),
            (
                "made_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.SET_NULL,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            (
                "first_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.SET_NULL,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            (
                "decided_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.SET_NULL,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            ("created_at", models.DateTimeField(db_default=Now())),
            ("decided_at", models.DateTimeField(null=True)),
        ],
        options={
            "ordering": ["model", "kind", "channel", "service_tier", "hours", "id"],
            "constraints": [
                models.UniqueConstraint(
                    condition=models.Q(
                        ("state__in", ["open", "second"]),
                        models.Q(("source", "draft"), _negated=True),
                    ),
                    fields=("model", "kind", "channel", "service_tier", "hours", "source"),
                    name="proposal_open_once",
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="PriceVersion",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            (
                "price",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="versions", to="billing.price"
                ),
            ),
            ("valid_from", models.DateTimeField()),
            ("valid_to", models.DateTimeField(blank=True, null=True)),
            ("rates", models.JSONField()),
            ("source", models.CharField(max_length=60)),
            ("created_at", models.DateTimeField(db_default=Now())),
        ],
        options={
            "ordering": ["valid_from"],
        },
    ),
    migrations.CreateModel(
        name="PromoGrant",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            (
                "organisation",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="+", to="accounts.organisation"
                ),
            ),
            ("amount_nano", models.BigIntegerField()),
            ("consumed_nano", models.BigIntegerField(default=0)),
            ("expired_nano", models.BigIntegerField(default=0)),
            ("expires_at", models.DateTimeField(blank=True, null=True)),
            (
                "source",
                models.CharField(help_text="The idempotency id of its posting.", max_length=120),
            ),
            ("created_at", models.DateTimeField(db_default=Now())),
            (
                "charge",
                models.ForeignKey(
                    null=True,
                    on_delete=models.PROTECT,
                    related_name="grants",
                    to="billing.subscriptioncharge",
                ),
            ),
        ],
        options={
            "indexes": [
                models.Index(
                    condition=models.Q(
                        ("amount_nano__gt", models.F("consumed_nano") + models.F("expired_nano"))
                    ),
                    fields=["organisation", "expires_at"],
                    name="promo_left",
                )
            ],
            "constraints": [
                models.CheckConstraint(
                    condition=models.Q(
                        ("consumed_nano__gte", 0),
                        ("expired_nano__gte", 0),
                        ("amount_nano__gte", models.F("consumed_nano") + models.F("expired_nano")),
                    ),
                    name="promo_never_exceeded",
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="RedeemTry",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            ("subject", models.CharField(max_length=80)),
            ("at", models.DateTimeField(db_default=Now())),
        ],
        options={
            "indexes": [models.Index(fields=["subject", "at"], name="redeem_tries")],
        },
    ),
    migrations.CreateModel(
        name="Redemption",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            (
                "code",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="redemptions", to="billing.code"
                ),
            ),
            ("n", models.PositiveIntegerField()),
            (
                "organisation",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="+", to="accounts.organisation"
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
            (
                "grant",
                models.OneToOneField(
                    on_delete=models.PROTECT, related_name="+", to="billing.promogrant"
                ),
            ),
            ("created_at", models.DateTimeField(db_default=Now())),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(fields=("code", "n"), name="use_of_code_once"),
                models.UniqueConstraint(
                    fields=("code", "organisation"), name="code_once_per_wallet"
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="Seal",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            (
                "kind",
                models.CharField(choices=[("ledger", "Ledger"), ("trail", "Trail")], max_length=8),
            ),
            ("from_at", models.DateTimeField()),
            ("to_at", models.DateTimeField()),
            ("rows", models.BigIntegerField()),
            ("digest", models.BinaryField()),
            ("code", models.BinaryField()),
            ("made_at", models.DateTimeField(db_default=Now())),
            (
                "form",
                models.SmallIntegerField(
                    help_text="Older forms say 2. It has no default, so that no older process "
                    "seals in its own."
                ),
            ),
            (
                "rewritten",
                models.BinaryField(
                    help_text="Our signature where a person was erased from its rows: rows and "
                    "digest are then those of what was left, the code is that of "
                    "before.",
                    null=True,
                ),
            ),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(fields=("kind", "from_at"), name="sealed_once")
            ],
        },
    ),
    migrations.CreateModel(
        name="StatementDay",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "organisation_id",
                    "day",
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
                    on_delete=models.DO_NOTHING,
                    related_name="+",
                    to="accounts.organisation",
                ),
            ),
            ("day", models.DateField(db_index=True)),
            ("requests", models.BigIntegerField()),
            ("amount_nano", models.BigIntegerField()),
        ],
    ),
    migrations.CreateModel(
        name="TopUp",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            (
                "organisation",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="+", to="accounts.organisation"
                ),
            ),
            ("processor", models.CharField(max_length=12)),
            ("live", models.BooleanField(help_text="Real money, not the processor's test mode.")),
            ("amount_nano", models.BigIntegerField()),
            ("currency", models.CharField(default="USD", max_length=3)),
            ("automatic", models.BooleanField(default=False)),
            ("keep_card", models.BooleanField(default=False)),
            (
                "state",
                models.CharField(
                    choices=[
                        ("ordered", "Ordered"),
                        ("pending", "Pending"),
                        ("paid", "Paid"),
                        ("failed", "Failed"),
                        ("expired", "Expired"),
                        ("cancelled", "Cancelled"),
                    ],
                    default="ordered",
                    max_length=9,
                ),
            ),
            ("checkout_id", models.CharField(blank=True, default="", max_length=120)),
            ("checkout_url", models.TextField(blank=True, default="")),
            ("payment_id", models.CharField(blank=True, default="", max_length=120)),
            ("refunded_nano", models.BigIntegerField(default=0)),
            ("disputed_nano", models.BigIntegerField(default=0)),
            (
                "confirmed_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.PROTECT,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            (
                "created_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.SET_NULL,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            ("created_at", models.DateTimeField(db_default=Now())),
            ("paid_at", models.DateTimeField(null=True)),
        ],
        options={
            "indexes": [
                models.Index(fields=["organisation", "-id"], name="top_ups_of_organisation")
            ],
            "constraints": [
                models.UniqueConstraint(
                    condition=models.Q(("payment_id", ""), _negated=True),
                    fields=("processor", "payment_id"),
                    name="payment_once",
                ),
                models.UniqueConstraint(
                    condition=models.Q(("automatic", True), ("state__in", ["ordered", "pending"])),
                    fields=("organisation",),
                    name="one_automatic_top_up",
                ),
                models.CheckConstraint(
                    condition=models.Q(
                        ("amount_nano__gt", 0),
                        ("refunded_nano__gte", 0),
                        ("refunded_nano__lte", models.F("amount_nano")),
                    ),
                    name="top_up_amounts",
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="ProcessorEvent",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("processor", models.CharField(max_length=12)),
            ("event_id", models.CharField(max_length=120)),
            ("kind", models.CharField(max_length=12)),
            ("payment_id", models.CharField(blank=True, default="", max_length=120)),
            ("told", models.JSONField()),
            (
                "top_up",
                models.ForeignKey(
                    null=True, on_delete=models.PROTECT, related_name="events", to="billing.topup"
                ),
            ),
            (
                "verdict",
                models.CharField(
                    choices=[
                        ("applied", "Applied"),
                        ("waiting", "Waiting"),
                        ("refused", "Refused"),
                    ],
                    max_length=8,
                ),
            ),
            ("reason", models.CharField(blank=True, default="", max_length=200)),
            ("created_at", models.DateTimeField(db_default=Now())),
        ],
        options={
            "indexes": [
                models.Index(
                    condition=models.Q(("verdict", "waiting")),
                    fields=["processor", "payment_id"],
                    name="events_waiting",
                )
            ],
            "constraints": [
                models.UniqueConstraint(fields=("processor", "event_id"), name="event_once")
            ],
        },
    ),
    migrations.CreateModel(
        name="BudgetAlert",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            (
                "kind",
                models.CharField(
                    choices=[("reached", "Reached"), ("forecast", "Forecast"), ("test", "Test")],
                    max_length=8,
                ),
            ),
            ("starts_at", models.DateTimeField(help_text="When the period began.")),
            ("limit_nano", models.BigIntegerField()),
            ("percent", models.PositiveSmallIntegerField(null=True)),
            ("spent_nano", models.BigIntegerField()),
            ("fact_id", models.UUIDField(null=True)),
            ("told_at", models.DateTimeField(db_default=Now())),
            (
                "budget",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="alerts", to="billing.budget"
                ),
            ),
        ],
        options={
            "indexes": [models.Index(fields=["budget", "-id"], name="alerts_of_budget")],
            "constraints": [
                models.UniqueConstraint(
                    condition=models.Q(("kind", "test"), _negated=True),
                    fields=("budget", "starts_at", "limit_nano", "kind", "percent"),
                    name="budget_alert_once",
                    nulls_distinct=False,
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="BudgetRaise",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("amount_nano", models.BigIntegerField()),
            ("until", models.DateTimeField()),
            ("reason", models.CharField(max_length=500)),
            (
                "state",
                models.CharField(
                    choices=[
                        ("waiting", "Waiting"),
                        ("approved", "Approved"),
                        ("denied", "Denied"),
                        ("ended", "Ended"),
                    ],
                    default="waiting",
                    max_length=8,
                ),
            ),
            ("asked_at", models.DateTimeField(db_default=Now())),
            ("decided_at", models.DateTimeField(null=True)),
            ("answer", models.CharField(blank=True, default="", max_length=500)),
            (
                "asked_by",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                ),
            ),
            (
                "budget",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="raises", to="billing.budget"
                ),
            ),
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
            "constraints": [
                models.UniqueConstraint(
                    condition=models.Q(("state", "waiting")),
                    fields=("budget", "asked_by"),
                    name="raise_waits_once",
                ),
                models.UniqueConstraint(
                    condition=models.Q(("state", "approved")),
                    fields=("budget",),
                    name="one_raise_of_a_budget",
                ),
                models.CheckConstraint(
                    condition=models.Q(("amount_nano__gt", 0)), name="raise_positive"
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="PlanCut",
        fields=[
            (
                "id",
                models.BigAutoField(
                    auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                ),
            ),
            ("multiplier_ppm", models.BigIntegerField()),
            ("asked_at", models.DateTimeField(db_default=Now())),
            (
                "asked_by",
                models.ForeignKey(
                    on_delete=models.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                ),
            ),
            (
                "organisation",
                models.ForeignKey(
                    null=True,
                    on_delete=models.CASCADE,
                    related_name="+",
                    to="accounts.organisation",
                ),
            ),
            (
                "plan",
                models.ForeignKey(
                    null=True, on_delete=models.CASCADE, related_name="+", to="billing.plan"
                ),
            ),
            (
                "membership",
                models.ForeignKey(
                    null=True, on_delete=models.CASCADE, related_name="+", to="accounts.membership"
                ),
            ),
            (
                "team",
                models.ForeignKey(
                    null=True, on_delete=models.CASCADE, related_name="+", to="accounts.team"
                ),
            ),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(
                    fields=("plan", "organisation", "team", "membership"),
                    name="plan_cut_waits_once",
                    nulls_distinct=False,
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="SealCut",
        fields=[
            (
                "kind",
                models.CharField(
                    choices=[("ledger", "Ledger"), ("trail", "Trail")],
                    max_length=8,
                    primary_key=True,
                    serialize=False,
                ),
            ),
            ("until", models.DateTimeField()),
            ("code", models.BinaryField()),
            ("signature", models.BinaryField()),
        ],
    ),
    migrations.CreateModel(
        name="MemberPlan",
        fields=[
            (
                "membership",
                models.OneToOneField(
                    on_delete=models.CASCADE,
                    primary_key=True,
                    related_name="+",
                    serialize=False,
                    to="accounts.membership",
                ),
            ),
            (
                "plan",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="members", to="billing.plan"
                ),
            ),
        ],
    ),
    migrations.CreateModel(
        name="TeamPlan",
        fields=[
            (
                "team",
                models.OneToOneField(
                    on_delete=models.CASCADE,
                    primary_key=True,
                    related_name="+",
                    serialize=False,
                    to="accounts.team",
                ),
            ),
            (
                "plan",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="teams", to="billing.plan"
                ),
            ),
        ],
    ),
    migrations.CreateModel(
        name="OrganisationChargeRule",
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
            ("rule", models.JSONField()),
        ],
    ),
    migrations.CreateModel(
        name="BooksWalk",
        fields=[
            ("name", models.CharField(max_length=8, primary_key=True, serialize=False)),
            ("to_at", models.DateTimeField(null=True)),
            ("began_at", models.DateTimeField(null=True)),
            ("ended_at", models.DateTimeField(null=True)),
            ("found", models.JSONField(db_default={})),
            ("broken", models.JSONField(db_default={})),
            ("unfinished", models.JSONField(default=list)),
            ("after", models.CharField(blank=True, db_default="", default="", max_length=80)),
            ("rest_until", models.DateTimeField(db_default=Now())),
        ],
    ),
    migrations.CreateModel(
        name="CheckedSum",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "walk",
                    "kind",
                    "subject_id",
                    blank=True,
                    editable=False,
                    primary_key=True,
                    serialize=False,
                ),
            ),
            ("walk", models.CharField(max_length=8)),
            ("kind", models.CharField(max_length=8)),
            ("subject_id", models.BigIntegerField()),
            ("nano", models.BigIntegerField()),
        ],
    ),
    migrations.CreateModel(
        name="BuyerDetail",
        fields=[
            (
                "legal_name",
                models.CharField(blank=True, default="", max_length=200, verbose_name="Legal name"),
            ),
            (
                "address",
                models.TextField(blank=True, default="", max_length=500, verbose_name="Address"),
            ),
            (
                "country",
                models.CharField(blank=True, default="", max_length=2, verbose_name="Country"),
            ),
            (
                "tax_id",
                models.CharField(blank=True, default="", max_length=40, verbose_name="Tax ID"),
            ),
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
            ("zone", models.CharField(default="UTC", max_length=64)),
        ],
        options={
            "abstract": False,
        },
    ),
    migrations.CreateModel(
        name="InvoiceCounter",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "series", "year", blank=True, editable=False, primary_key=True, serialize=False
                ),
            ),
            ("series", models.CharField(max_length=3)),
            ("year", models.SmallIntegerField()),
            ("last", models.IntegerField(default=0)),
        ],
    ),
    migrations.CreateModel(
        name="Invoice",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            (
                "kind",
                models.CharField(
                    choices=[
                        ("invoice", "Invoice"),
                        ("credit_note", "Credit note"),
                        ("debit_note", "Debit note"),
                    ],
                    max_length=12,
                ),
            ),
            (
                "state",
                models.CharField(
                    choices=[("draft", "Draft"), ("proposed", "Proposed"), ("closed", "Closed")],
                    default="draft",
                    max_length=8,
                ),
            ),
            ("number", models.CharField(max_length=24, null=True, unique=True)),
            ("reason", models.CharField(blank=True, default="", max_length=500)),
            ("month", models.DateField()),
            ("zone", models.CharField(max_length=64)),
            ("from_at", models.DateTimeField()),
            ("until_at", models.DateTimeField()),
            ("currency", models.CharField(default="USD", max_length=3)),
            ("seller", models.JSONField(default=dict)),
            ("buyer", models.JSONField(default=dict)),
            ("movement", models.JSONField(default=list)),
            ("net_nano", models.BigIntegerField(default=0)),
            ("tax_nano", models.BigIntegerField(default=0)),
            ("rounding_nano", models.BigIntegerField(default=0)),
            ("total_nano", models.BigIntegerField(default=0)),
            ("checksum", models.CharField(blank=True, default="", max_length=64)),
            ("drafted_at", models.DateTimeField(db_default=Now())),
            ("proposed_at", models.DateTimeField(null=True)),
            ("closed_at", models.DateTimeField(null=True)),
            (
                "closed_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.PROTECT,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            (
                "corrects",
                models.ForeignKey(
                    null=True, on_delete=models.PROTECT, related_name="notes", to="billing.invoice"
                ),
            ),
            (
                "organisation",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="+", to="accounts.organisation"
                ),
            ),
            (
                "proposed_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.PROTECT,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
        ],
        options={
            "indexes": [
                models.Index(fields=["organisation", "-id"], name="invoices_of_organisation")
            ],
            "constraints": [
                models.UniqueConstraint(
                    condition=models.Q(("kind", "invoice")),
                    fields=("organisation", "month"),
                    name="invoice_once_a_month",
                ),
                models.CheckConstraint(
                    condition=models.Q(
                        models.Q(("state", "closed"), _negated=True),
                        models.Q(
                            ("closed_by__isnull", False),
                            ("number__isnull", False),
                            ("proposed_by__isnull", False),
                            models.Q(("closed_by", models.F("proposed_by")), _negated=True),
                        ),
                        _connector="OR",
                    ),
                    name="invoice_closed_by_two",
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="InvoiceLine",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            ("n", models.IntegerField()),
            ("kind", models.CharField(max_length=12)),
            ("amount_nano", models.BigIntegerField()),
            ("project", models.CharField(blank=True, default="", max_length=120)),
            ("team", models.CharField(blank=True, default="", max_length=120)),
            ("model", models.CharField(blank=True, default="", max_length=200)),
            ("meter", models.CharField(blank=True, default="", max_length=80)),
            ("rate_nano_per_million", models.BigIntegerField(default=0)),
            ("multiplier_ppm", models.BigIntegerField(default=1000000)),
            ("quantity", models.BigIntegerField(default=0)),
            ("origin", models.DateField(null=True)),
            ("rate_ppm", models.IntegerField(default=0)),
            ("text", models.CharField(blank=True, default="", max_length=700)),
            (
                "invoice",
                models.ForeignKey(
                    db_index=False,
                    on_delete=models.CASCADE,
                    related_name="lines",
                    to="billing.invoice",
                ),
            ),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(fields=("invoice", "n"), name="invoice_line_once")
            ],
        },
    ),
    migrations.CreateModel(
        name="SellerDetail",
        fields=[
            (
                "legal_name",
                models.CharField(blank=True, default="", max_length=200, verbose_name="Legal name"),
            ),
            (
                "address",
                models.TextField(blank=True, default="", max_length=500, verbose_name="Address"),
            ),
            (
                "country",
                models.CharField(blank=True, default="", max_length=2, verbose_name="Country"),
            ),
            (
                "tax_id",
                models.CharField(blank=True, default="", max_length=40, verbose_name="Tax ID"),
            ),
            ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
        ],
        options={
            "constraints": [
                models.CheckConstraint(condition=models.Q(("id", 1)), name="one_seller")
            ],
        },
    ),
    migrations.CreateModel(
        name="TaxRate",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            ("name", models.CharField(max_length=60)),
            ("country", models.CharField(blank=True, default="", max_length=2)),
            ("rate_ppm", models.IntegerField()),
            ("valid_from", models.DateField()),
            ("reverse_charge_text", models.CharField(blank=True, default="", max_length=500)),
            ("created_at", models.DateTimeField(db_default=Now())),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(
                    fields=("name", "country", "valid_from"), name="tax_rate_once_a_day"
                ),
                models.CheckConstraint(
                    condition=models.Q(("rate_ppm__gte", 0), ("rate_ppm__lte", 1000000)),
                    name="tax_rate_is_a_share",
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="LedgerLine",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            (
                "posting",
                models.ForeignKey(
                    db_constraint=False,
                    on_delete=models.PROTECT,
                    related_name="+",
                    to="billing.posting",
                ),
            ),
            (
                "account",
                models.ForeignKey(
                    db_constraint=False,
                    on_delete=models.PROTECT,
                    related_name="+",
                    to="billing.account",
                ),
            ),
            ("amount_nano", models.BigIntegerField()),
        ],
        options={
            "db_table": "billing_ledgerentry",
        },
    ),
    migrations.CreateModel(
        name="LedgerEntry",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "posting_id",
                    "account_id",
                    blank=True,
                    editable=False,
                    primary_key=True,
                    serialize=False,
                ),
            ),
            ("id", models.BigIntegerField()),
            ("amount_nano", models.BigIntegerField()),
        ],
        options={
            "db_table": "billing_ledgerentry",
            "managed": False,
        },
    ),
    migrations.CreateModel(
        name="Subscription",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            (
                "state",
                models.CharField(
                    choices=[
                        ("active", "Active"),
                        ("unpaid", "Renewal unpaid"),
                        ("ended", "Ended"),
                    ],
                    default="active",
                    max_length=6,
                ),
            ),
            ("zone", models.CharField(max_length=64)),
            ("month", models.DateField()),
            ("started_at", models.DateTimeField()),
            ("unpaid_since", models.DateTimeField(null=True)),
            ("cancelled_at", models.DateTimeField(null=True)),
            ("ended_at", models.DateTimeField(null=True)),
            (
                "organisation",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="+", to="accounts.organisation"
                ),
            ),
            (
                "plan",
                models.ForeignKey(
                    on_delete=models.PROTECT,
                    related_name="subscriptions",
                    to="billing.subscriptionplan",
                ),
            ),
        ],
        options={
            "indexes": [
                models.Index(
                    condition=models.Q(("state", "ended"), _negated=True),
                    fields=["month"],
                    name="subscriptions_to_renew",
                )
            ],
            "constraints": [
                models.UniqueConstraint(
                    condition=models.Q(("state", "ended"), _negated=True),
                    fields=("organisation",),
                    name="one_living_subscription",
                ),
                models.CheckConstraint(
                    condition=models.Q(("state", "ended"), ("ended_at", None), _connector="XOR"),
                    name="subscription_ended_at",
                ),
                models.CheckConstraint(
                    condition=models.Q(
                        models.Q(("state", "unpaid"), ("unpaid_since__isnull", False)),
                        models.Q(
                            models.Q(("state", "unpaid"), _negated=True), ("unpaid_since", None)
                        ),
                        _connector="OR",
                    ),
                    name="subscription_unpaid_since",
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="SubscriptionCharge",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("month", models.DateField()),
            ("n", models.SmallIntegerField()),
            ("from_day", models.DateField()),
            ("charge_nano", models.BigIntegerField()),
            ("included_nano", models.BigIntegerField()),
            ("created_at", models.DateTimeField(db_default=Now())),
            (
                "organisation",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="+", to="accounts.organisation"
                ),
            ),
            (
                "subscription",
                models.ForeignKey(
                    db_index=False,
                    on_delete=models.PROTECT,
                    related_name="charges",
                    to="billing.subscription",
                ),
            ),
            (
                "plan",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="+", to="billing.subscriptionplan"
                ),
            ),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(
                    fields=("subscription", "month", "n"), name="subscription_charge_once"
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="SubscriptionPlan",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("name", models.CharField(max_length=120, unique=True)),
            ("description", models.CharField(blank=True, default="", max_length=300)),
            ("price_nano", models.BigIntegerField()),
            ("included_nano", models.BigIntegerField()),
            (
                "overage",
                models.CharField(
                    choices=[
                        ("balance", "Paid from the balance"),
                        ("refuse", "Requests are rejected"),
                    ],
                    db_default="balance",
                    default="balance",
                    max_length=7,
                ),
            ),
            (
                "state",
                models.CharField(
                    choices=[("draft", "Draft"), ("offered", "Offered"), ("archived", "Archived")],
                    default="draft",
                    max_length=8,
                ),
            ),
            ("created_at", models.DateTimeField(db_default=Now())),
            (
                "offered_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.PROTECT,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            (
                "written_by",
                models.ForeignKey(
                    null=True,
                    on_delete=models.PROTECT,
                    related_name="+",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
            ("units", models.JSONField(db_default=[], default=list)),
            ("multipliers", models.JSONField(db_default=[], default=list)),
        ],
        options={
            "constraints": [
                models.CheckConstraint(
                    condition=models.Q(("included_nano__gte", 0), ("price_nano__gte", 0)),
                    name="subscription_plan_not_negative",
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="InvoiceDue",
        fields=[
            (
                "invoice",
                models.OneToOneField(
                    db_constraint=False,
                    on_delete=models.PROTECT,
                    primary_key=True,
                    related_name="due",
                    serialize=False,
                    to="billing.invoice",
                ),
            ),
            ("left_nano", models.BigIntegerField()),
        ],
        options={
            "constraints": [
                models.CheckConstraint(
                    condition=models.Q(("left_nano__gt", 0)), name="invoice_due_positive"
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="InvoicePayment",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            ("amount_nano", models.BigIntegerField()),
            (
                "source",
                models.CharField(
                    choices=[("balance", "Balance"), ("recorded", "Recorded by an operator")],
                    max_length=8,
                ),
            ),
            ("reference", models.CharField(blank=True, default="", max_length=120)),
            ("paid_on", models.DateField()),
            ("created_at", models.DateTimeField(db_default=Now())),
            (
                "invoice",
                models.ForeignKey(
                    db_constraint=False,
                    on_delete=models.PROTECT,
                    related_name="payments",
                    to="billing.invoice",
                ),
            ),
            (
                "recorded_by",
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
                models.CheckConstraint(
                    condition=models.Q(("amount_nano__gt", 0)), name="invoice_payment_positive"
                ),
                models.CheckConstraint(
                    condition=models.Q(
                        models.Q(("recorded_by", None), ("reference", ""), ("source", "balance")),
                        models.Q(
                            ("recorded_by__isnull", False),
                            ("source", "recorded"),
                            models.Q(("reference", ""), _negated=True),
                        ),
                        _connector="OR",
                    ),
                    name="invoice_payment_told",
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="SpendingCount",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            ("from_entry", models.BigIntegerField()),
            ("entry", models.BigIntegerField()),
            ("included_nano", models.BigIntegerField()),
            ("promo_nano", models.BigIntegerField()),
            ("since", models.DateTimeField(null=True)),
            ("counted_at", models.DateTimeField(db_default=Now())),
            (
                "organisation",
                models.ForeignKey(
                    db_index=False,
                    on_delete=models.CASCADE,
                    related_name="+",
                    to="accounts.organisation",
                ),
            ),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(
                    fields=("organisation", "entry"), name="spending_counted_once"
                ),
                models.CheckConstraint(
                    condition=models.Q(("included_nano__gte", 0), ("promo_nano__gte", 0)),
                    name="spending_count_not_negative",
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="IncludedUnits",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            ("month", models.DateField()),
            ("position", models.SmallIntegerField()),
            ("meter", models.CharField(max_length=40)),
            ("patterns", ArrayField(base_field=models.CharField(max_length=200), size=None)),
            ("included", models.BigIntegerField()),
            ("used", models.BigIntegerField(default=0)),
            ("held", models.BigIntegerField(default=0)),
            ("ends_at", models.DateTimeField()),
            (
                "organisation",
                models.ForeignKey(
                    on_delete=models.PROTECT, related_name="+", to="accounts.organisation"
                ),
            ),
            (
                "subscription",
                models.ForeignKey(
                    db_index=False,
                    on_delete=models.PROTECT,
                    related_name="units",
                    to="billing.subscription",
                ),
            ),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(
                    fields=("subscription", "month", "meter", "patterns"),
                    name="included_units_once",
                ),
                models.CheckConstraint(
                    condition=models.Q(
                        ("held__gte", 0),
                        ("used__gte", 0),
                        ("included__gte", models.F("used") + models.F("held")),
                    ),
                    name="included_units_never_exceeded",
                ),
            ],
        },
    ),
    migrations.CreateModel(
        name="ExchangeRate",
        fields=[
            (
                "id",
                models.UUIDField(default=new_id, editable=False, primary_key=True, serialize=False),
            ),
            ("currency", models.CharField(max_length=3)),
            ("day", models.DateField()),
            ("per_usd", models.DecimalField(decimal_places=10, max_digits=20)),
            ("source", models.CharField(blank=True, default="", max_length=120)),
            ("created_at", models.DateTimeField(db_default=Now())),
        ],
        options={
            "indexes": [
                models.Index(fields=["currency", "day", "id"], name="exchange_rate_by_day")
            ],
            "constraints": [
                models.CheckConstraint(
                    condition=models.Q(("per_usd__gt", 0)), name="exchange_rate_above_zero"
                )
            ],
        },
    ),
    migrations.CreateModel(
        name="Safeguard",
        fields=[
            (
                "id",
                models.BigAutoField(
                    auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                ),
            ),
            (
                "name",
                models.CharField(
                    choices=[
                        ("credit_limit", "Credit Limit"),
                        ("audit_retention", "Audit Retention"),
                    ],
                    max_length=20,
                ),
            ),
            ("value", models.BigIntegerField(null=True)),
            ("proposed", models.BigIntegerField(null=True)),
            (
                "organisation",
                models.ForeignKey(null=True, on_delete=models.CASCADE, to="accounts.organisation"),
            ),
            (
                "proposed_by",
                models.ForeignKey(null=True, on_delete=models.PROTECT, to=settings.AUTH_USER_MODEL),
            ),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(
                    fields=("name", "organisation"), name="safeguard_once", nulls_distinct=False
                ),
                models.CheckConstraint(
                    condition=models.Q(
                        ("organisation", None), ("name", "credit_limit"), _connector="OR"
                    ),
                    name="safeguard_of_organisation",
                ),
                models.CheckConstraint(
                    condition=models.Q(
                        ("proposed", None), ("proposed_by__isnull", False), _connector="OR"
                    ),
                    name="safeguard_proposer",
                ),
            ],
        },
    ),
]

# Columns that older processes write and nothing reads any more. The table of the ledger's lines
# gets its name by `LINES`.
LEFT = [
    migrations.RemoveField("bookswalk", "found"),
    migrations.RemoveField("bookswalk", "broken"),
    migrations.AlterModelTable("ledgerline", None),
]

# Ranges of one number stand for equality: btree_gist is not on every PostgreSQL that we run on.
NO_OVERLAP = """
    ALTER TABLE billing_priceversion
        ADD CONSTRAINT price_versions_do_not_overlap EXCLUDE USING gist (
            int8range(price_id, price_id, '[]') WITH &&,
            tstzrange(valid_from, valid_to, '[)') WITH &&
        ),
        ADD CONSTRAINT price_version_has_length CHECK (valid_to IS NULL OR valid_to > valid_from);
    ALTER TABLE billing_budgetwindow
        ADD CONSTRAINT budget_windows_do_not_overlap EXCLUDE USING gist (
            int8range(budget_id, budget_id, '[]') WITH &&,
            tstzrange(starts_at, ends_at, '[)') WITH &&
        ),
        ADD CONSTRAINT budget_window_has_length CHECK (ends_at > starts_at);
"""

POSTINGS_BY_TIME = """
    CREATE INDEX posting_by_time ON billing_posting USING brin (created_at)
        WITH (pages_per_range = 32, autosummarize = on);
"""

# Only an erasure under way may change a row that is written once, and only the texts of a person
# who is erased (docs/adr/0022). Ids, times and amounts never change. Who opens it otherwise has
# edited rows under a seal, which is found as every other edit.
WRITTEN_ONCE = """
    CREATE FUNCTION weir_erases(old_row jsonb, new_row jsonb) RETURNS boolean
        LANGUAGE plpgsql STABLE AS $$
    DECLARE
        texts text[] := ARRAY['actor', 'cause', 'address', 'client', 'session', 'reason', 'detail',
            'project', 'tags', 'customer', 'end_user', 'message', 'digest', 'rewritten'];
        erasure text := nullif(current_setting('weir.erasure', true), '');
    BEGIN
        IF erasure IS NULL OR old_row - texts <> new_row - texts THEN
            RETURN false;
        END IF;
        RETURN EXISTS (SELECT FROM accounts_erasure WHERE id = erasure::uuid AND done_at IS NULL);
    END $$;
    CREATE FUNCTION weir_written_once() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' AND TG_LEVEL = 'ROW' THEN
            IF weir_erases(to_jsonb(OLD), to_jsonb(NEW)) THEN
                RETURN NEW;
            END IF;
        END IF;
        RAISE EXCEPTION '% is written once: % is refused', TG_TABLE_NAME, TG_OP
            USING ERRCODE = 'restrict_violation',
                  HINT = 'Correct it by a new row that names the old one.';
    END $$;
    CREATE TRIGGER written_once BEFORE UPDATE OR DELETE ON billing_posting
        FOR EACH ROW EXECUTE FUNCTION weir_written_once();
"""

# What a cut says may go: the trigger asks it, whoever deletes. A cut that nobody of ours has signed
# is found by `verify --tamper-check`.
UNTIL_CUT = """
    CREATE FUNCTION weir_written_once_until_cut() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' THEN
            IF TG_TABLE_NAME = 'billing_seal' THEN
                IF OLD.to_at <= (SELECT until FROM billing_sealcut WHERE kind = OLD.kind) THEN
                    RETURN OLD;
                END IF;
            ELSIF OLD.at < (SELECT until FROM billing_sealcut WHERE kind = 'trail') THEN
                RETURN OLD;
            END IF;
        ELSIF weir_erases(to_jsonb(OLD), to_jsonb(NEW)) THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION '% is written once: % is refused', TG_TABLE_NAME, TG_OP
            USING ERRCODE = 'restrict_violation',
                  HINT = 'Correct it by a new row that names the old one.';
    END $$;
    CREATE TRIGGER written_once BEFORE UPDATE OR DELETE ON accounts_auditevent
        FOR EACH ROW EXECUTE FUNCTION weir_written_once_until_cut();
    CREATE TRIGGER written_once BEFORE UPDATE OR DELETE ON billing_seal
        FOR EACH ROW EXECUTE FUNCTION weir_written_once_until_cut();

    -- The only statement that deletes: as the owner, who alone gets the right to it back.
    CREATE FUNCTION weir_drop_cut_trail() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = public AS $$
    DECLARE
        cut timestamptz := (SELECT until FROM billing_sealcut WHERE kind = 'trail');
        dropped bigint;
    BEGIN
        DELETE FROM accounts_auditevent WHERE at < cut;
        GET DIAGNOSTICS dropped = ROW_COUNT;
        DELETE FROM billing_seal WHERE kind = 'trail' AND to_at <= cut;
        RETURN dropped;
    END $$;
"""

# TRUNCATE goes round the triggers of rows, and a superuser needs no right to it: a trigger of its
# own refuses it.
NEVER_EMPTIED = """
    CREATE TRIGGER never_emptied BEFORE TRUNCATE ON billing_posting
        FOR EACH STATEMENT EXECUTE FUNCTION weir_written_once();
    CREATE TRIGGER never_emptied BEFORE TRUNCATE ON billing_ledgerline
        FOR EACH STATEMENT EXECUTE FUNCTION weir_written_once();
    CREATE TRIGGER never_emptied BEFORE TRUNCATE ON billing_seal
        FOR EACH STATEMENT EXECUTE FUNCTION weir_written_once();
    CREATE TRIGGER never_emptied BEFORE TRUNCATE ON accounts_auditevent
        FOR EACH STATEMENT EXECUTE FUNCTION weir_written_once();
"""

# Without the right to an edit there is no statement that could be tried, not even by the owner, who
# would have to grant it back first. A superuser needs no right: there the triggers stand alone.
RIGHTS = """
    REVOKE UPDATE, DELETE, TRUNCATE
        ON billing_posting, billing_ledgerline, billing_seal, accounts_auditevent
        FROM PUBLIC, CURRENT_USER;
    -- For weir_drop_cut_trail.
    GRANT DELETE ON accounts_auditevent, billing_seal TO CURRENT_USER;
    -- For an erasure. These columns alone: no statement changes another one, whoever tries.
    GRANT UPDATE (address, client, session, reason, detail) ON accounts_auditevent TO CURRENT_USER;
    GRANT UPDATE (cause, actor) ON billing_posting TO CURRENT_USER;
    GRANT UPDATE (digest, rewritten) ON billing_seal TO CURRENT_USER;
"""

# A closed invoice is written once.
INVOICES = """
    CREATE FUNCTION weir_closed_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF OLD.state = 'closed' THEN
            RAISE EXCEPTION 'a closed % is written once: % is refused', OLD.kind, TG_OP
                USING ERRCODE = 'restrict_violation',
                      HINT = 'Correct it by a credit or debit note.';
        END IF;
        IF TG_OP = 'DELETE' THEN
            RETURN OLD;
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER written_once BEFORE UPDATE OR DELETE ON billing_invoice
        FOR EACH ROW EXECUTE FUNCTION weir_closed_invoice();

    CREATE FUNCTION weir_closed_invoice_line() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (
            SELECT FROM billing_invoice WHERE state = 'closed' AND id IN (
                CASE WHEN TG_OP <> 'INSERT' THEN OLD.invoice_id END,
                CASE WHEN TG_OP <> 'DELETE' THEN NEW.invoice_id END))
        THEN
            RAISE EXCEPTION 'a line of a closed document is written once: % is refused', TG_OP
                USING ERRCODE = 'restrict_violation',
                      HINT = 'Correct it by a credit or debit note.';
        END IF;
        IF TG_OP = 'DELETE' THEN
            RETURN OLD;
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER written_once BEFORE INSERT OR UPDATE OR DELETE ON billing_invoiceline
        FOR EACH ROW EXECUTE FUNCTION weir_closed_invoice_line();

    CREATE TRIGGER never_emptied BEFORE TRUNCATE ON billing_invoice
        FOR EACH STATEMENT EXECUTE FUNCTION weir_written_once();
    CREATE TRIGGER never_emptied BEFORE TRUNCATE ON billing_invoiceline
        FOR EACH STATEMENT EXECUTE FUNCTION weir_written_once();
"""

# A posting holds its own lines, as two arrays; it sums to zero (I1), by the database itself. One
# posting ends a hold (I6).
POSTINGS = """
    CREATE FUNCTION weir_sum_to_zero(account_ids bigint[], amounts_nano bigint[]) RETURNS boolean
        LANGUAGE plpgsql IMMUTABLE AS $$
    DECLARE
        total bigint := 0;
        amount_nano bigint;
    BEGIN
        FOREACH amount_nano IN ARRAY amounts_nano LOOP
            total := total + amount_nano;
        END LOOP;
        RETURN coalesce(
            total = 0 AND cardinality(account_ids) = cardinality(amounts_nano)
            AND cardinality(amounts_nano) > 1 AND array_position(account_ids, NULL) IS NULL,
            false);
    END $$;
    ALTER TABLE billing_posting ADD CONSTRAINT posting_balanced CHECK (
        (account_ids IS NULL AND amounts_nano IS NULL)
        OR weir_sum_to_zero(account_ids, amounts_nano)
    );
    ALTER TABLE billing_posting ADD CONSTRAINT posting_named CHECK (
        idempotency_id IS NOT NULL OR attempt_id IS NOT NULL);
    CREATE UNIQUE INDEX posting_of_end ON billing_posting (attempt_id)
        WHERE attempt_id IS NOT NULL;
    ALTER TABLE billing_posting
        ALTER COLUMN entry_id SET DEFAULT nextval('billing_ledgerentry_id_seq');
"""

# Postings of older versions keep their lines in a table of their own. One view shows both, under
# the name that the table had; what an older process adds to it is put into the table.
LINES = """
    ALTER TABLE billing_ledgerentry RENAME TO billing_ledgerline;
    CREATE VIEW billing_ledgerentry WITH (security_invoker = true) AS
        SELECT line.id, posting.id AS posting_id, line.account_id, line.amount_nano
        FROM billing_posting posting CROSS JOIN LATERAL (
            SELECT stored.id, stored.account_id, stored.amount_nano
            FROM billing_ledgerline stored
            WHERE stored.posting_id = posting.id AND posting.account_ids IS NULL
            UNION ALL
            SELECT posting.entry_id, held.account_id, held.amount_nano
            FROM unnest(posting.account_ids, posting.amounts_nano)
                AS held (account_id, amount_nano)
        ) line;
    CREATE FUNCTION weir_store_line() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO billing_ledgerline (posting_id, account_id, amount_nano)
        VALUES (NEW.posting_id, NEW.account_id, NEW.amount_nano);
        RETURN NEW;
    END $$;
    CREATE TRIGGER stored_line INSTEAD OF INSERT ON billing_ledgerentry
        FOR EACH ROW EXECUTE FUNCTION weir_store_line();
    CREATE TRIGGER written_once INSTEAD OF UPDATE OR DELETE ON billing_ledgerentry
        FOR EACH ROW EXECUTE FUNCTION weir_written_once();
    CREATE TRIGGER written_once BEFORE UPDATE OR DELETE ON billing_ledgerline
        FOR EACH ROW EXECUTE FUNCTION weir_written_once();
"""

# A process of an older version would seal a posting without what it does not know of.
SEALED_WHOLE = """
    ALTER TABLE billing_seal ADD CONSTRAINT sealed_whole CHECK (form >= 4) NOT VALID
"""

# A hold is posted once, when it ends. A process of an older version posts one when it places a
# hold, and again when it ends it. If it ends a hold that was placed without a posting, the posting
# that it takes for granted is written beside its own.
ENDED_BY_OLDER = """
    CREATE FUNCTION weir_post_hold() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        ended billing_hold;
    BEGIN
        UPDATE billing_hold SET posted = true
        WHERE id = split_part(NEW.idempotency_id, ':', 2)::uuid AND NOT posted
        RETURNING * INTO ended;
        IF FOUND THEN
            INSERT INTO billing_posting (
                id, idempotency_id, kind, organisation_id, cause, actor, account_ids, amounts_nano)
            SELECT (left(NEW.id::text, 24) || right(gen_random_uuid()::text, 12))::uuid,
                   'hold:' || ended.id, 'hold', ended.organisation_id, '{}', '',
                   ARRAY[available.id, held.id], ARRAY[-ended.amount_nano, ended.amount_nano]
            FROM billing_account available JOIN billing_account held USING (organisation_id)
            WHERE available.organisation_id = ended.organisation_id
            AND available.kind = 'customer:available' AND held.kind = 'customer:held';
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER ended_by_older AFTER INSERT ON billing_posting FOR EACH ROW
        WHEN (NEW.account_ids IS NULL AND NEW.kind IN ('settle', 'void', 'expire'))
        EXECUTE FUNCTION weir_post_hold();
"""


def split_holds(apps: object, schema_editor: object) -> None:
    """Partition holds by month like the attempts whose ids they have (docs/adr/0019)."""
    split_by_month("billing_hold")


class Migration(migrations.Migration):
    initial = True

    replaces = [("billing", name) for name in REPLACED]

    dependencies = [("accounts", "0002_squashed_0025_team_leads")]

    operations = [
        CreateModels(TABLES),
        migrations.SeparateDatabaseAndState(state_operations=LEFT),
        migrations.RunSQL(NO_OVERLAP),
        migrations.RunSQL(POSTINGS_BY_TIME),
        migrations.RunSQL(POSTINGS),
        migrations.RunSQL(WRITTEN_ONCE),
        migrations.RunSQL(LINES),
        migrations.RunSQL(UNTIL_CUT),
        migrations.RunSQL(NEVER_EMPTIED),
        migrations.RunSQL(INVOICES),
        migrations.RunSQL(SEALED_WHOLE),
        migrations.RunSQL(ENDED_BY_OLDER),
        migrations.RunSQL(RIGHTS),
        migrations.RunPython(split_holds),
    ]
