import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.comparison
import django.db.models.functions.datetime
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models

import lib.ids
from lib.database.schema import CreateModels

_WRITTEN_ONCE = """
    CREATE FUNCTION weir_written_once() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is written once: % is refused', TG_TABLE_NAME, TG_OP
            USING ERRCODE = 'restrict_violation',
                  HINT = 'Correct it by a new row that names the old one.';
    END $$;
    CREATE TRIGGER written_once BEFORE UPDATE OR DELETE ON billing_posting
        FOR EACH ROW EXECUTE FUNCTION weir_written_once();
    CREATE TRIGGER written_once BEFORE UPDATE OR DELETE ON billing_ledgerentry
        FOR EACH ROW EXECUTE FUNCTION weir_written_once();
    CREATE TRIGGER written_once BEFORE UPDATE OR DELETE ON accounts_auditevent
        FOR EACH ROW EXECUTE FUNCTION weir_written_once();
    CREATE TRIGGER written_once BEFORE UPDATE OR DELETE ON billing_seal
        FOR EACH ROW EXECUTE FUNCTION weir_written_once();
"""

# Ranges of one number stand for equality: btree_gist is not on every PostgreSQL that we run on.
_NO_OVERLAP = """
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

_POSTINGS_BY_TIME = """
    CREATE INDEX posting_by_time ON billing_posting USING brin (created_at)
        WITH (pages_per_range = 32, autosummarize = on);
"""


class Migration(migrations.Migration):
    initial = True

    replaces = [
        ("billing", "0001_initial"),
        ("billing", "0002_books"),
        ("billing", "0003_budgets"),
        ("billing", "0004_process_leases_and_marks"),
        ("billing", "0005_prices_in_full"),
        ("billing", "0006_money_in"),
        ("billing", "0007_late_truth"),
        ("billing", "0008_budget_brought"),
        ("billing", "0009_top_ups"),
        ("billing", "0010_seals_and_checks"),
        ("billing", "0011_listed_postings"),
    ]

    dependencies = [
        ("accounts", "0001_squashed_0004_limits"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        CreateModels(
            [
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
                                on_delete=django.db.models.deletion.CASCADE,
                                primary_key=True,
                                related_name="+",
                                serialize=False,
                                to="accounts.organisation",
                            ),
                        ),
                        ("entry_id", models.BigIntegerField()),
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
                                on_delete=django.db.models.deletion.CASCADE,
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
                                on_delete=django.db.models.deletion.PROTECT,
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
                                help_text="Counts the changes of the budgets that stand over "
                                "this account.",
                            ),
                        ),
                    ],
                    options={
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("organisation", "kind", "currency"), name="account_once"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("kind__in", ["customer:available", "customer:held"]),
                                        _negated=True,
                                    ),
                                    ("balance_nano__gte", 0),
                                    _connector="OR",
                                ),
                                name="customer_balance_not_negative",
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
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="budgets",
                                to="accounts.organisation",
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
                        (
                            "created_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
                    ],
                    options={
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("organisation", "scope", "subject", "period"),
                                name="budget_once",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("amount_nano__gte", 0)),
                                name="budget_not_negative",
                            ),
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
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="windows",
                                to="billing.budget",
                            ),
                        ),
                        ("starts_at", models.DateTimeField()),
                        ("ends_at", models.DateTimeField()),
                        ("cap_nano", models.BigIntegerField()),
                        ("held_nano", models.BigIntegerField(db_default=0)),
                        ("spent_nano", models.BigIntegerField(db_default=0)),
                        ("brought_nano", models.BigIntegerField(db_default=0)),
                    ],
                    options={
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("budget", "starts_at"), name="budget_window_once"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("held_nano__gte", 0), ("spent_nano__gte", 0)),
                                name="budget_window_not_negative",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "cap_nano__gte",
                                        django.db.models.expressions.CombinedExpression(
                                            models.F("held_nano"), "+", models.F("spent_nano")
                                        ),
                                    )
                                ),
                                name="budget_never_exceeded",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="CodeBatch",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                default=lib.ids.new_id,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
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
                                blank=True,
                                help_text="How long the credit lives; none = for ever.",
                                null=True,
                            ),
                        ),
                        (
                            "created_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
                        (
                            "created_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
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
                            models.UUIDField(
                                default=lib.ids.new_id,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        (
                            "batch",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="codes",
                                to="billing.codebatch",
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
                                on_delete=django.db.models.deletion.PROTECT,
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
                                    ("settled", "Settled"),
                                    ("voided", "Voided"),
                                    ("expired", "Expired"),
                                ],
                                default="open",
                                max_length=8,
                            ),
                        ),
                        (
                            "opened_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
                        ("expires_at", models.DateTimeField()),
                        ("resolved_at", models.DateTimeField(null=True)),
                        (
                            "window_ids",
                            django.contrib.postgres.fields.ArrayField(
                                base_field=models.BigIntegerField(), null=True, size=None
                            ),
                        ),
                        (
                            "rated_ids",
                            django.contrib.postgres.fields.ArrayField(
                                base_field=models.UUIDField(), null=True, size=None
                            ),
                        ),
                        ("tokens", models.BigIntegerField(null=True)),
                        ("leased_key_id", models.UUIDField(null=True)),
                        ("leased_team_id", models.UUIDField(null=True)),
                        (
                            "process_id",
                            models.UUIDField(
                                db_default=django.db.models.functions.comparison.Cast(
                                    django.db.models.functions.comparison.NullIf(
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
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("state", "open")),
                                fields=["expires_at"],
                                name="open_holds",
                            ),
                            models.Index(
                                condition=models.Q(
                                    ("leased_key_id__isnull", False), ("state", "open")
                                ),
                                fields=["leased_key_id"],
                                name="open_holds_of_key",
                            ),
                            models.Index(
                                condition=models.Q(
                                    ("leased_team_id__isnull", False), ("state", "open")
                                ),
                                fields=["leased_team_id"],
                                name="open_holds_of_team",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(("amount_nano__gte", 0)),
                                name="hold_not_negative",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="IdempotentAnswer",
                    fields=[
                        ("id", models.BigAutoField(primary_key=True, serialize=False)),
                        (
                            "owner",
                            models.CharField(
                                help_text="An organisation, or an operator.", max_length=80
                            ),
                        ),
                        ("key_digest", models.BinaryField(max_length=32)),
                        ("asked_digest", models.BinaryField(max_length=32)),
                        ("status", models.SmallIntegerField()),
                        ("sealed", models.BinaryField()),
                        (
                            "created_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
                    ],
                    options={
                        "indexes": [models.Index(fields=["created_at"], name="answers_by_age")],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("owner", "key_digest"), name="answer_once"
                            )
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
                            django.contrib.postgres.fields.ArrayField(
                                base_field=models.CharField(max_length=200),
                                blank=True,
                                default=list,
                                size=None,
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
                                on_delete=django.db.models.deletion.CASCADE,
                                primary_key=True,
                                related_name="+",
                                serialize=False,
                                to="accounts.organisation",
                            ),
                        ),
                        (
                            "plan",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="organisations",
                                to="billing.plan",
                            ),
                        ),
                    ],
                ),
                migrations.CreateModel(
                    name="Posting",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                default=lib.ids.new_id,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("idempotency_id", models.CharField(max_length=120, unique=True)),
                        ("kind", models.CharField(max_length=24)),
                        (
                            "organisation",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="accounts.organisation",
                            ),
                        ),
                        ("cause", models.JSONField(default=dict)),
                        ("actor", models.CharField(blank=True, default="", max_length=80)),
                        (
                            "created_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                fields=["organisation", "-id"], name="posting_by_organisation"
                            ),
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
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="LedgerEntry",
                    fields=[
                        ("id", models.BigAutoField(primary_key=True, serialize=False)),
                        (
                            "posting",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="entries",
                                to="billing.posting",
                            ),
                        ),
                        (
                            "account",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="entries",
                                to="billing.account",
                            ),
                        ),
                        ("amount_nano", models.BigIntegerField()),
                    ],
                ),
                migrations.CreateModel(
                    name="Credit",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                default=lib.ids.new_id,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        (
                            "organisation",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="accounts.organisation",
                            ),
                        ),
                        ("amount_nano", models.BigIntegerField()),
                        (
                            "kind",
                            models.CharField(
                                choices=[("cash", "Cash"), ("promo", "Promo")],
                                default="cash",
                                max_length=5,
                            ),
                        ),
                        ("expires_at", models.DateTimeField(blank=True, null=True)),
                        ("reason", models.CharField(max_length=500)),
                        ("document", models.CharField(blank=True, default="", max_length=200)),
                        (
                            "reverses",
                            models.OneToOneField(
                                db_constraint=False,
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="billing.posting",
                            ),
                        ),
                        (
                            "state",
                            models.CharField(
                                choices=[
                                    ("waiting", "Waiting"),
                                    ("posted", "Posted"),
                                    ("refused", "Refused"),
                                ],
                                max_length=7,
                            ),
                        ),
                        (
                            "asked_by",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "asked_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
                        (
                            "decided_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        ("decided_at", models.DateTimeField(null=True)),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(("state", "waiting")),
                                fields=["-id"],
                                name="credits_waiting",
                            )
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("decided_by", models.F("asked_by")), _negated=True
                                ),
                                name="second_person",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("amount_nano", 0), _negated=True),
                                name="credit_not_zero",
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
                        (
                            "channel",
                            models.CharField(blank=True, db_default="", default="", max_length=120),
                        ),
                        (
                            "service_tier",
                            models.CharField(blank=True, db_default="", default="", max_length=40),
                        ),
                        (
                            "hours",
                            models.CharField(blank=True, db_default="", default="", max_length=11),
                        ),
                    ],
                    options={
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("model", "kind", "channel", "service_tier", "hours"),
                                name="price_once",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("kind", "cost"), ("channel", ""), _connector="OR"
                                ),
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
                            models.UUIDField(
                                default=lib.ids.new_id,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("model", models.CharField(max_length=200)),
                        (
                            "kind",
                            models.CharField(
                                choices=[("charge", "Charge"), ("cost", "Cost")],
                                default="charge",
                                max_length=6,
                            ),
                        ),
                        ("channel", models.CharField(blank=True, default="", max_length=120)),
                        ("service_tier", models.CharField(blank=True, default="", max_length=40)),
                        ("hours", models.CharField(blank=True, default="", max_length=11)),
                        (
                            "valid_from",
                            models.DateTimeField(
                                help_text="null: from the acceptance on", null=True
                            ),
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
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "first_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "decided_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "created_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
                        ("decided_at", models.DateTimeField(null=True)),
                    ],
                    options={
                        "ordering": ["model", "kind", "channel", "service_tier", "hours"],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("state__in", ["open", "second"])),
                                fields=(
                                    "model",
                                    "kind",
                                    "channel",
                                    "service_tier",
                                    "hours",
                                    "source",
                                ),
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
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="versions",
                                to="billing.price",
                            ),
                        ),
                        ("valid_from", models.DateTimeField()),
                        ("valid_to", models.DateTimeField(blank=True, null=True)),
                        ("rates", models.JSONField()),
                        ("source", models.CharField(max_length=60)),
                        (
                            "created_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
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
                            models.UUIDField(
                                default=lib.ids.new_id,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        (
                            "organisation",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="accounts.organisation",
                            ),
                        ),
                        ("amount_nano", models.BigIntegerField()),
                        ("consumed_nano", models.BigIntegerField(default=0)),
                        ("expired_nano", models.BigIntegerField(default=0)),
                        ("expires_at", models.DateTimeField(blank=True, null=True)),
                        (
                            "source",
                            models.CharField(
                                help_text="The idempotency id of its posting.", max_length=120
                            ),
                        ),
                        (
                            "created_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(
                                    (
                                        "amount_nano__gt",
                                        django.db.models.expressions.CombinedExpression(
                                            models.F("consumed_nano"), "+", models.F("expired_nano")
                                        ),
                                    )
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
                                    (
                                        "amount_nano__gte",
                                        django.db.models.expressions.CombinedExpression(
                                            models.F("consumed_nano"), "+", models.F("expired_nano")
                                        ),
                                    ),
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
                        (
                            "at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
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
                            models.UUIDField(
                                default=lib.ids.new_id,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        (
                            "code",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="redemptions",
                                to="billing.code",
                            ),
                        ),
                        ("n", models.PositiveIntegerField()),
                        (
                            "organisation",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="accounts.organisation",
                            ),
                        ),
                        (
                            "user",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "grant",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="billing.promogrant",
                            ),
                        ),
                        (
                            "created_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
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
                            models.CharField(
                                choices=[("ledger", "Ledger"), ("trail", "Trail")], max_length=8
                            ),
                        ),
                        ("from_at", models.DateTimeField()),
                        ("to_at", models.DateTimeField()),
                        ("rows", models.BigIntegerField()),
                        ("digest", models.BinaryField()),
                        ("code", models.BinaryField()),
                        (
                            "made_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
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
                                on_delete=django.db.models.deletion.DO_NOTHING,
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
                            models.UUIDField(
                                default=lib.ids.new_id,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        (
                            "organisation",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="accounts.organisation",
                            ),
                        ),
                        ("processor", models.CharField(max_length=12)),
                        (
                            "live",
                            models.BooleanField(
                                help_text="Real money, not the processor's test mode."
                            ),
                        ),
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
                                ],
                                default="ordered",
                                max_length=8,
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
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "created_by",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.SET_NULL,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "created_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
                        ("paid_at", models.DateTimeField(null=True)),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                fields=["organisation", "-id"], name="top_ups_of_organisation"
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("payment_id", ""), _negated=True),
                                fields=("processor", "payment_id"),
                                name="payment_once",
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(
                                    ("automatic", True), ("state__in", ["ordered", "pending"])
                                ),
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
                            models.UUIDField(
                                default=lib.ids.new_id,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("processor", models.CharField(max_length=12)),
                        ("event_id", models.CharField(max_length=120)),
                        ("kind", models.CharField(max_length=12)),
                        ("payment_id", models.CharField(blank=True, default="", max_length=120)),
                        ("told", models.JSONField()),
                        (
                            "top_up",
                            models.ForeignKey(
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="events",
                                to="billing.topup",
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
                        (
                            "created_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
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
                            models.UniqueConstraint(
                                fields=("processor", "event_id"), name="event_once"
                            )
                        ],
                    },
                ),
            ]
        ),
        migrations.RunSQL(_WRITTEN_ONCE, migrations.RunSQL.noop),
        migrations.RunSQL(_NO_OVERLAP, migrations.RunSQL.noop),
        migrations.RunSQL(_POSTINGS_BY_TIME, "DROP INDEX posting_by_time"),
    ]
