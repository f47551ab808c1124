from django.db import migrations

# As on the ledger: TRUNCATE goes round the triggers of rows (I2). A month is a table of its own,
# and could be emptied alone; later months bring the trigger with them (partitions.py).
_GUARD = """
    DO $$
    DECLARE
        guarded regclass;
    BEGIN
        FOR guarded IN
            SELECT unnest(ARRAY['usage_attempt', 'usage_usagerecord', 'usage_review']::regclass[])
            UNION
            SELECT inhrelid::regclass FROM pg_inherits
            WHERE inhparent IN ('usage_attempt'::regclass, 'usage_usagerecord'::regclass)
        LOOP
            EXECUTE format('CREATE OR REPLACE TRIGGER never_emptied BEFORE TRUNCATE ON %s '
                'FOR EACH STATEMENT EXECUTE FUNCTION weir_written_once()', guarded);
        END LOOP;
    END $$
"""


class Migration(migrations.Migration):
    dependencies = [("usage", "0012_estimated_input")]

    operations = [migrations.RunSQL(_GUARD, migrations.RunSQL.noop)]
