"""What the database itself refuses: edits of written books, and prices that overlap in time."""

from django.db import migrations

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
"""

# Ranges of one number stand for equality: btree_gist is not on every PostgreSQL that we run on.
_NO_OVERLAP = """
    ALTER TABLE billing_priceversion
        ADD CONSTRAINT price_versions_do_not_overlap EXCLUDE USING gist (
            int8range(price_id, price_id, '[]') WITH &&,
            tstzrange(valid_from, valid_to, '[)') WITH &&
        ),
        ADD CONSTRAINT price_version_has_length CHECK (valid_to IS NULL OR valid_to > valid_from);
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial"), ("accounts", "0001_initial")]

    operations = [
        migrations.RunSQL(_WRITTEN_ONCE, migrations.RunSQL.noop),
        migrations.RunSQL(_NO_OVERLAP, migrations.RunSQL.noop),
    ]
