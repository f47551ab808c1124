"""What is written once may be changed in one way: the texts of a row lose a person who is erased
(docs/adr/0022). Ids, times and amounts never change, and only an erasure under way opens it.

Who opens it otherwise has edited rows under a seal, which is found as every other edit.
"""

from django.db import migrations, models

_ERASES = """
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
    CREATE OR REPLACE FUNCTION weir_written_once() RETURNS trigger LANGUAGE plpgsql AS $$
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
    CREATE OR REPLACE FUNCTION weir_written_once_until_cut() RETURNS trigger LANGUAGE plpgsql AS $$
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
    -- These columns alone: no statement changes another one, whoever tries.
    GRANT UPDATE (address, client, session, reason, detail) ON accounts_auditevent TO CURRENT_USER;
    GRANT UPDATE (cause, actor) ON billing_posting TO CURRENT_USER;
    GRANT UPDATE (digest, rewritten) ON billing_seal TO CURRENT_USER;
"""
_BACK = """
    REVOKE UPDATE (address, client, session, reason, detail) ON accounts_auditevent
        FROM CURRENT_USER;
    REVOKE UPDATE (cause, actor) ON billing_posting FROM CURRENT_USER;
    REVOKE UPDATE (digest, rewritten) ON billing_seal FROM CURRENT_USER;
    CREATE OR REPLACE FUNCTION weir_written_once() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is written once: % is refused', TG_TABLE_NAME, TG_OP
            USING ERRCODE = 'restrict_violation',
                  HINT = 'Correct it by a new row that names the old one.';
    END $$;
    CREATE OR REPLACE FUNCTION weir_written_once_until_cut() RETURNS trigger LANGUAGE plpgsql AS $$
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
    DROP FUNCTION weir_erases(jsonb, jsonb);
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0049_exchange_rates"), ("accounts", "0022_erasures")]

    operations = [
        migrations.AddField(
            model_name="seal",
            name="rewritten",
            field=models.BinaryField(
                help_text="Our signature where a person was erased from its rows: rows and digest "
                "are then those of what was left, the code is that of before.",
                null=True,
            ),
        ),
        migrations.RunSQL(_ERASES, _BACK),
    ]
