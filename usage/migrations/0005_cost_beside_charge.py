"""Each record says what it cost us and by which multiplier it was charged; the price versions that
records name stay as they were (I11)."""

from django.db import migrations, models

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
    dependencies = [
        ("usage", "0004_rollup_rest"),
        ("billing", "0005_prices_in_full"),
    ]

    operations = [
        migrations.RunSQL(_STAYS, migrations.RunSQL.noop),
        migrations.AddField(
            model_name="attempt",
            name="cost_version_id",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="attempt",
            name="multiplier_ppm",
            field=models.BigIntegerField(db_default=1000000, default=1000000),
        ),
        migrations.AddField(
            model_name="usagerecord",
            name="cost_nano",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="usagerecord",
            name="cost_version_id",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="usagerecord",
            name="multiplier_ppm",
            field=models.BigIntegerField(db_default=1000000, default=1000000),
        ),
    ]
