"""Attempts and usage records are tables partitioned by month; written once, never changed.

Django makes plain tables only. Their columns are copied from plain tables, so that they are named
in one place.
"""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.comparison
import django.db.models.functions.datetime
import django.db.models.functions.text
from django.db import migrations, models

from lib.database.schema import CreateModels
from usage.months.partitions import ensure_at_migration

_INDEXES = {
    "usage_attempt": """
        CREATE INDEX attempt_by_request ON usage_attempt (organisation_id, request_id)""",
    "usage_usagerecord": """
        CREATE INDEX record_by_request ON usage_usagerecord (organisation_id, request_id);
        CREATE INDEX record_log ON usage_usagerecord (organisation_id, id DESC) WHERE final;
        CREATE INDEX record_by_admission ON usage_usagerecord (admitted_at);
        CREATE INDEX record_by_transaction ON usage_usagerecord (xid);
        -- Those whose provider may know better than we do; few, and only they are in it.
        CREATE INDEX record_unsure ON usage_usagerecord (admitted_at)
            WHERE basis IN ('estimated', 'absorbed');
        -- What is under review is found without a look at all that is not.
        CREATE INDEX record_under_review ON usage_usagerecord (organisation_id, id DESC)
            WHERE 'quarantine' = ANY (flags)""",
}
_TRANSACTION = """
        ALTER TABLE usage_usagerecord ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id()"""


def _partition(table: str) -> str:
    return f"""
        ALTER TABLE {table} RENAME TO {table}_plain;
        CREATE TABLE {table} (
            LIKE {table}_plain INCLUDING DEFAULTS, PRIMARY KEY (organisation_id, id)
        ) PARTITION BY RANGE (id);
        DROP TABLE {table}_plain;
        CREATE TABLE {table}_other PARTITION OF {table} DEFAULT;
        {_TRANSACTION if table == "usage_usagerecord" else ""};
        {_INDEXES[table]};
        CREATE TRIGGER written_once BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION weir_written_once();
    """


# The price versions that records name stay as they were (I11).
_STAYS = """
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

    replaces = [
        ("usage", "0001_initial"),
        ("usage", "0002_partitions"),
        ("usage", "0003_rollup_channel_name"),
        ("usage", "0004_rollup_rest"),
        ("usage", "0005_cost_beside_charge"),
        ("usage", "0006_late_truth"),
        ("usage", "0007_seals_and_checks"),
        ("usage", "0008_stopped_is_no_error"),
        ("usage", "0009_records_under_review"),
    ]

    dependencies = [
        ("accounts", "0001_squashed_0004_limits"),
        ("billing", "0001_squashed_0011_listed_postings"),
    ]

    operations = [
        CreateModels(
            [
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
                                on_delete=django.db.models.deletion.DO_NOTHING,
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
                        (
                            "multiplier_ppm",
                            models.BigIntegerField(db_default=1000000, default=1000000),
                        ),
                        ("cost_version_id", models.BigIntegerField(null=True)),
                        ("hold_nano", models.BigIntegerField()),
                        (
                            "admitted_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
                    ],
                ),
                migrations.CreateModel(
                    name="BooksCheck",
                    fields=[
                        (
                            "id",
                            models.SmallIntegerField(default=1, primary_key=True, serialize=False),
                        ),
                        (
                            "ran_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
                        ("took_ms", models.IntegerField(default=0)),
                        ("broken", models.JSONField(default=dict)),
                        (
                            "rest_until",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
                    ],
                    options={
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(("id", 1)), name="one_books_check"
                            )
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
                            models.CharField(
                                choices=[("late", "Late"), ("look_up", "Look Up")], max_length=8
                            ),
                        ),
                        ("meters", models.JSONField(null=True)),
                        ("charge_nano", models.BigIntegerField(null=True)),
                        ("raw_usage", models.JSONField(null=True)),
                        ("tries", models.SmallIntegerField(default=0)),
                        ("ask_at", models.DateTimeField(null=True)),
                        (
                            "learnt_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
                        ("posted_at", models.DateTimeField(null=True)),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                condition=models.Q(
                                    ("meters__isnull", False), ("posted_at__isnull", True)
                                ),
                                fields=["id"],
                                name="truth_to_post",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("attempt_id", "source"), name="truth_told_once"
                            )
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
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="accounts.organisation",
                            ),
                        ),
                        ("bucket_at", models.DateTimeField()),
                        ("team_id", models.UUIDField()),
                        ("key_id", models.UUIDField()),
                        ("user_id", models.BigIntegerField(help_text="0 = nobody's key")),
                        ("model", models.CharField(max_length=200)),
                        (
                            "channel_id",
                            models.UUIDField(help_text="the nil id = refused before any channel"),
                        ),
                        ("channel_name", models.CharField(default="", max_length=120)),
                        ("requests", models.BigIntegerField()),
                        ("errors", models.BigIntegerField()),
                        ("meters", models.JSONField()),
                        ("charge_nano", models.BigIntegerField()),
                    ],
                ),
                migrations.CreateModel(
                    name="RollupWatermark",
                    fields=[
                        (
                            "id",
                            models.SmallIntegerField(default=1, primary_key=True, serialize=False),
                        ),
                        ("xid", models.BigIntegerField(default=0)),
                        ("complete_to", models.DateTimeField(null=True)),
                        ("rest_until", models.DateTimeField(null=True)),
                    ],
                    options={
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(("id", 1)), name="one_watermark"
                            )
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
                                on_delete=django.db.models.deletion.DO_NOTHING,
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
                        (
                            "ended_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
                        ("status", models.SmallIntegerField()),
                        ("kind", models.CharField(max_length=40, null=True)),
                        ("message", models.TextField(default="")),
                        ("finish_reason", models.CharField(default="", max_length=40)),
                        ("meters", models.JSONField(default=dict)),
                        ("charge_nano", models.BigIntegerField(default=0)),
                        ("hold_nano", models.BigIntegerField(default=0)),
                        ("basis", models.CharField(max_length=12)),
                        ("price_version_id", models.BigIntegerField(null=True)),
                        (
                            "multiplier_ppm",
                            models.BigIntegerField(db_default=1000000, default=1000000),
                        ),
                        ("cost_nano", models.BigIntegerField(null=True)),
                        ("cost_version_id", models.BigIntegerField(null=True)),
                        ("ttft_ms", models.IntegerField(null=True)),
                        ("total_ms", models.IntegerField()),
                        ("raw_usage", models.JSONField(null=True)),
                        (
                            "flags",
                            django.contrib.postgres.fields.ArrayField(
                                base_field=models.CharField(max_length=40), default=list, size=None
                            ),
                        ),
                    ],
                ),
            ]
        ),
        migrations.RunSQL(_partition("usage_attempt"), migrations.RunSQL.noop),
        migrations.RunSQL(_partition("usage_usagerecord"), migrations.RunSQL.noop),
        migrations.RunPython(ensure_at_migration, migrations.RunPython.noop),
        migrations.RunSQL(_STAYS, migrations.RunSQL.noop),
    ]
