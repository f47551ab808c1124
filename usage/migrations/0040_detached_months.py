import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

# A month that is kept in a file takes nothing. A record that comes late for it is left out with a
# warning: it is a refusal, which charges nothing, and must not keep what is written with it.
_CLOSED = """
    CREATE FUNCTION weir_month_is_detached() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_ARGV[0] = 'usage_usagerecord' THEN
            RAISE WARNING 'the month of record % is kept in a file: it is left out', NEW.id;
            RETURN NULL;
        END IF;
        RAISE EXCEPTION 'the month of % is kept in a file: % is refused', NEW.id, TG_OP
            USING ERRCODE = 'restrict_violation', HINT = 'See manage.py month list.';
    END $$;
"""
# The price versions that records name stay as they were (I11), also of those in a file.
_STAYS = """
    CREATE OR REPLACE FUNCTION weir_charged_version_stays() RETURNS trigger LANGUAGE plpgsql AS $$
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
            {detached}
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
"""
_DETACHED = """
            UNION ALL
            SELECT to_at FROM usage_detachedmonth WHERE OLD.id = ANY (price_version_ids)"""


class Migration(migrations.Migration):
    dependencies = [("usage", "0037_times_in_rollups")]

    operations = [
        migrations.CreateModel(
            name="DetachedMonth",
            fields=[
                ("month", models.DateField(primary_key=True, serialize=False)),
                ("first_id", models.UUIDField()),
                ("end_id", models.UUIDField()),
                ("from_at", models.DateTimeField()),
                ("to_at", models.DateTimeField()),
                (
                    "price_version_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), size=None
                    ),
                ),
                (
                    "detached_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
        ),
        migrations.CreateModel(
            name="MonthFile",
            fields=[
                (
                    "month",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
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
        migrations.RunSQL(_CLOSED, "DROP FUNCTION weir_month_is_detached()"),
        migrations.RunSQL(_STAYS.format(detached=_DETACHED), _STAYS.format(detached="")),
    ]
