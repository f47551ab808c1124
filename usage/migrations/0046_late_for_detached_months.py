import django.db.models.functions.datetime
from django.db import migrations, models

# What comes late for a month that is kept in a file: a record waits beside it until it is back.
_KEPT = """
    CREATE OR REPLACE FUNCTION weir_month_is_detached() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_ARGV[0] = 'usage_usagerecord' AND TG_OP = 'INSERT' THEN
            INSERT INTO usage_laterecord (id, organisation_id, row)
            VALUES (NEW.id, NEW.organisation_id, to_jsonb(NEW)) ON CONFLICT DO NOTHING;
            RETURN NULL;
        END IF;
        RAISE EXCEPTION 'the month of % is kept in a file: % is refused', NEW.id, TG_OP
            USING ERRCODE = 'restrict_violation', HINT = 'See manage.py month list.';
    END $$;
"""
_LEFT_OUT = """
    CREATE OR REPLACE FUNCTION weir_month_is_detached() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_ARGV[0] = 'usage_usagerecord' THEN
            RAISE WARNING 'the month of record % is kept in a file: it is left out', NEW.id;
            RETURN NULL;
        END IF;
        RAISE EXCEPTION 'the month of % is kept in a file: % is refused', NEW.id, TG_OP
            USING ERRCODE = 'restrict_violation', HINT = 'See manage.py month list.';
    END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("usage", "0045_records_by_app")]

    operations = [
        migrations.CreateModel(
            name="LateRecord",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("organisation_id", models.UUIDField()),
                ("row", models.JSONField()),
                (
                    "came_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
        ),
        migrations.RunSQL(_KEPT, _LEFT_OUT),
    ]
