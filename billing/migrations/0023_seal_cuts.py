from django.db import migrations, models

# What a cut says may go: the trigger asks it, whoever deletes. A cut that nobody of ours has signed
# is found by `verify --tamper-check`.
_CUT = """
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
        END IF;
        RAISE EXCEPTION '% is written once: % is refused', TG_TABLE_NAME, TG_OP
            USING ERRCODE = 'restrict_violation',
                  HINT = 'Correct it by a new row that names the old one.';
    END $$;
    DROP TRIGGER written_once ON accounts_auditevent;
    CREATE TRIGGER written_once BEFORE UPDATE OR DELETE ON accounts_auditevent
        FOR EACH ROW EXECUTE FUNCTION weir_written_once_until_cut();
    DROP TRIGGER written_once ON billing_seal;
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
    GRANT DELETE ON accounts_auditevent, billing_seal TO CURRENT_USER;
"""
_BACK = """
    REVOKE DELETE ON accounts_auditevent, billing_seal FROM CURRENT_USER;
    DROP FUNCTION weir_drop_cut_trail();
    DROP TRIGGER written_once ON accounts_auditevent;
    CREATE TRIGGER written_once BEFORE UPDATE OR DELETE ON accounts_auditevent
        FOR EACH ROW EXECUTE FUNCTION weir_written_once();
    DROP TRIGGER written_once ON billing_seal;
    CREATE TRIGGER written_once BEFORE UPDATE OR DELETE ON billing_seal
        FOR EACH ROW EXECUTE FUNCTION weir_written_once();
    DROP FUNCTION weir_written_once_until_cut();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0022_kept_holds"), ("accounts", "0013_audit_origin")]

    operations = [
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
        migrations.RunSQL(_CUT, _BACK),
        migrations.AddField(
            model_name="seal",
            name="form",
            field=models.SmallIntegerField(
                default=2,
                help_text="Older forms say 2. It has no default, so that no older process seals in "
                "its own.",
            ),
            preserve_default=False,
        ),
    ]
