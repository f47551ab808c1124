import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
from django.db import migrations, models

# Ranges of one number stand for equality: btree_gist is not on every PostgreSQL that we run on.
_NO_OVERLAP = """
    ALTER TABLE billing_budgetwindow
        ADD CONSTRAINT budget_windows_do_not_overlap EXCLUDE USING gist (
            int8range(budget_id, budget_id, '[]') WITH &&,
            tstzrange(starts_at, ends_at, '[)') WITH &&
        ),
        ADD CONSTRAINT budget_window_has_length CHECK (ends_at > starts_at);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_cache"),
        ("billing", "0002_books"),
    ]

    operations = [
        migrations.CreateModel(
            name="Budget",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
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
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
        ),
        migrations.CreateModel(
            name="BudgetWindow",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("cap_nano", models.BigIntegerField()),
                ("held_nano", models.BigIntegerField(db_default=0)),
                ("spent_nano", models.BigIntegerField(db_default=0)),
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
        migrations.AddField(
            model_name="account",
            name="guards",
            field=models.BigIntegerField(
                db_default=0,
                help_text="Counts the changes of the budgets that stand over this account.",
            ),
        ),
        migrations.AddField(
            model_name="hold",
            name="leased_key_id",
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name="hold",
            name="leased_team_id",
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name="hold",
            name="rated_ids",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.UUIDField(), null=True, size=None
            ),
        ),
        migrations.AddField(
            model_name="hold",
            name="tokens",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="hold",
            name="window_ids",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(), null=True, size=None
            ),
        ),
        migrations.AddIndex(
            model_name="hold",
            index=models.Index(
                condition=models.Q(("leased_key_id__isnull", False), ("state", "open")),
                fields=["leased_key_id"],
                name="open_holds_of_key",
            ),
        ),
        migrations.AddIndex(
            model_name="hold",
            index=models.Index(
                condition=models.Q(("leased_team_id__isnull", False), ("state", "open")),
                fields=["leased_team_id"],
                name="open_holds_of_team",
            ),
        ),
        migrations.AddField(
            model_name="budget",
            name="organisation",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="budgets",
                to="accounts.organisation",
            ),
        ),
        migrations.AddField(
            model_name="budgetwindow",
            name="budget",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="windows",
                to="billing.budget",
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.UniqueConstraint(
                fields=("organisation", "scope", "subject", "period"), name="budget_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount_nano__gte", 0)), name="budget_not_negative"
            ),
        ),
        migrations.AddConstraint(
            model_name="budgetwindow",
            constraint=models.UniqueConstraint(
                fields=("budget", "starts_at"), name="budget_window_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="budgetwindow",
            constraint=models.CheckConstraint(
                condition=models.Q(("held_nano__gte", 0), ("spent_nano__gte", 0)),
                name="budget_window_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="budgetwindow",
            constraint=models.CheckConstraint(
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
        ),
        migrations.RunSQL(_NO_OVERLAP, migrations.RunSQL.noop),
    ]
