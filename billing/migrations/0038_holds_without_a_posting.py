"""A hold is posted once, when it ends.

Older processes, which go on until they are replaced, post one when they place it, and again when it
ends. If one of them ends a hold that was placed without a posting, it takes off `customer:held`
what was never put there: the posting that it takes for granted is written beside its own.
"""

from django.db import migrations, models

_OLDER = """
    CREATE FUNCTION weir_post_hold() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        ended billing_hold;
    BEGIN
        UPDATE billing_hold SET posted = true
        WHERE id = split_part(NEW.idempotency_id, ':', 2)::uuid AND NOT posted
        RETURNING * INTO ended;
        IF FOUND THEN
            INSERT INTO billing_posting (
                id, idempotency_id, kind, organisation_id, cause, actor, account_ids, amounts_nano)
            SELECT (left(NEW.id::text, 24) || right(gen_random_uuid()::text, 12))::uuid,
                   'hold:' || ended.id, 'hold', ended.organisation_id, '{}', '',
                   ARRAY[available.id, held.id], ARRAY[-ended.amount_nano, ended.amount_nano]
            FROM billing_account available JOIN billing_account held USING (organisation_id)
            WHERE available.organisation_id = ended.organisation_id
            AND available.kind = 'customer:available' AND held.kind = 'customer:held';
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER ended_by_older AFTER INSERT ON billing_posting FOR EACH ROW
        WHEN (NEW.account_ids IS NULL AND NEW.kind IN ('settle', 'void', 'expire'))
        EXECUTE FUNCTION weir_post_hold();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0037_one_posting_ends_a_hold")]

    operations = [
        migrations.AddField("hold", "posted", models.BooleanField(db_default=True)),
        migrations.RunSQL(
            _OLDER,
            "DROP TRIGGER ended_by_older ON billing_posting; DROP FUNCTION weir_post_hold()",
        ),
    ]
