from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

# A partition can only be attached if it has the constraints of the table.
_MAKE_PARTITION = """
    CREATE OR REPLACE FUNCTION content_make_partition(at timestamptz) RETURNS void
    LANGUAGE plpgsql AS $$
    DECLARE
        name text := 'content_entry_' || to_char(at AT TIME ZONE 'UTC', 'YYYY_MM_DD_HH24');
    BEGIN
        IF to_regclass(name) IS NULL THEN
            PERFORM pg_advisory_xact_lock(hashtext('content_make_partition'));
            IF to_regclass(name) IS NULL THEN
                -- Attaching lets others write meanwhile; creating a partition at once does not.
                EXECUTE format('CREATE TABLE %%I (LIKE content_entry INCLUDING DEFAULTS%s)', name);
                EXECUTE format('ALTER TABLE content_entry ATTACH PARTITION %%I FOR VALUES IN (%%L)',
                               name, at);
            END IF;
        END IF;
    END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("content", "0007_policy_secrets")]

    operations = [
        # Django would ask for the same; as SQL it is plain that no row is rewritten.
        migrations.RunSQL(
            "ALTER TABLE content_entry ALTER COLUMN sealed DROP NOT NULL",
            "ALTER TABLE content_entry ALTER COLUMN sealed SET NOT NULL",
            state_operations=[
                migrations.AlterField(
                    model_name="entry", name="sealed", field=models.BinaryField(null=True)
                ),
            ],
        ),
        migrations.AddField(
            model_name="entry", name="object_id", field=models.UUIDField(null=True)
        ),
        migrations.AddField(
            model_name="entry",
            name="object_offset",
            field=models.IntegerField(help_text="Where the sealed text begins.", null=True),
        ),
        migrations.AddField(
            model_name="entry",
            name="object_bytes",
            field=models.IntegerField(help_text="How long the sealed text is.", null=True),
        ),
        migrations.RunSQL(_MAKE_PARTITION % " INCLUDING CONSTRAINTS", _MAKE_PARTITION % ""),
        # Rows that are there fulfil it. None is read for it, and all are dropped some day.
        AddConstraintNotValid(
            model_name="entry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    object_bytes=None, object_id=None, object_offset=None, sealed__isnull=False
                )
                | models.Q(
                    object_bytes__isnull=False,
                    object_id__isnull=False,
                    object_offset__isnull=False,
                    sealed=None,
                ),
                name="entry_in_one_place",
            ),
        ),
    ]
