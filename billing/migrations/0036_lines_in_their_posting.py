"""A posting holds its own lines, as two arrays, and the attempt whose hold it ends.

Postings of before keep theirs in a table of their own. Both are read by one view, which has the
name that the table had: to older processes, which go on until they are replaced, nothing changes.
What they add to the view is put into the table.
"""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

from lib.database.tenancy import ROLE

_ARRAYS = """
    ALTER TABLE billing_posting
        ADD COLUMN attempt_id uuid,
        ADD COLUMN account_ids bigint[],
        ADD COLUMN amounts_nano bigint[],
        ADD COLUMN entry_id bigint,
        ALTER COLUMN idempotency_id DROP NOT NULL;
    -- Not when the column is added, which would give every posting of before one.
    ALTER TABLE billing_posting
        ALTER COLUMN entry_id SET DEFAULT nextval('billing_ledgerentry_id_seq');
"""
# I1, by the database itself. Postings of before have no arrays, so that none needs a look.
_BALANCED = """
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
    ) NOT VALID;
    ALTER TABLE billing_posting ADD CONSTRAINT posting_named CHECK (
        idempotency_id IS NOT NULL OR attempt_id IS NOT NULL) NOT VALID;
"""
_VIEW = f"""
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
    DO $$
    BEGIN
        IF to_regrole('{ROLE}') IS NOT NULL THEN
            GRANT SELECT, INSERT ON billing_ledgerentry TO {ROLE};
            GRANT USAGE ON SEQUENCE billing_ledgerentry_id_seq TO {ROLE};
        END IF;
    END $$;
"""  # noqa: S608 - only a constant is put in
# An older process would seal a posting without what it does not know of.
_SEALED = "ALTER TABLE billing_seal ADD CONSTRAINT sealed_whole CHECK (form >= 4) NOT VALID"


class Migration(migrations.Migration):
    dependencies = [("billing", "0035_invoices")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                # They are not taken back: older processes work with them.
                migrations.RunSQL(_ARRAYS),
                migrations.RunSQL(_BALANCED),
                migrations.RunSQL(_VIEW),
                migrations.RunSQL(_SEALED),
            ],
            state_operations=[
                migrations.AlterField(
                    model_name="posting",
                    name="idempotency_id",
                    field=models.CharField(max_length=120, null=True),
                ),
                migrations.AddField(
                    model_name="posting", name="attempt_id", field=models.UUIDField(null=True)
                ),
                migrations.AddField(
                    model_name="posting",
                    name="account_ids",
                    field=django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), null=True, size=None
                    ),
                ),
                migrations.AddField(
                    model_name="posting",
                    name="amounts_nano",
                    field=django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), null=True, size=None
                    ),
                ),
                migrations.AddField(
                    model_name="posting", name="entry_id", field=models.BigIntegerField(null=True)
                ),
                migrations.RenameModel("LedgerEntry", "LedgerLine"),
                migrations.AlterField(
                    model_name="ledgerline",
                    name="posting",
                    field=models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.posting",
                    ),
                ),
                migrations.AlterField(
                    model_name="ledgerline",
                    name="account",
                    field=models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.account",
                    ),
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
                    options={"db_table": "billing_ledgerentry", "managed": False},
                ),
            ],
        ),
        migrations.AddField(
            model_name="promomark",
            name="counted_at",
            field=models.DateTimeField(null=True),
        ),
    ]
