from django.db import migrations

# Prompts move to another room, with labels instead of one version in production.
TABLES = """
    ALTER TABLE playground_prompt RENAME TO content_prompt;
    ALTER TABLE playground_promptversion RENAME TO content_promptversion;
    ALTER TABLE content_prompt ADD COLUMN labels jsonb NOT NULL DEFAULT '{}'::jsonb;
    UPDATE content_prompt
        SET labels = jsonb_build_object('production', jsonb_build_array(production))
        WHERE production IS NOT NULL;
    ALTER TABLE content_prompt DROP COLUMN production;
    DO $$
    DECLARE
        former record;
    BEGIN
        FOR former IN
            SELECT conrelid::regclass AS relation, conname AS name FROM pg_constraint
            WHERE conrelid IN ('content_prompt'::regclass, 'content_promptversion'::regclass)
            AND conname LIKE 'playground\\_%'
        LOOP
            EXECUTE format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', former.relation,
                former.name, regexp_replace(former.name, '^playground', 'content'));
        END LOOP;
        FOR former IN
            SELECT indexrelid::regclass AS relation, relname AS name
            FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
            WHERE indrelid IN ('content_prompt'::regclass, 'content_promptversion'::regclass)
            AND relname LIKE 'playground\\_%'
        LOOP
            EXECUTE format('ALTER INDEX %s RENAME TO %I', former.relation,
                regexp_replace(former.name, '^playground', 'content'));
        END LOOP;
    END $$
"""

# Older processes read and write prompts under the former names.
FORMER_NAMES = """
    CREATE VIEW playground_promptversion WITH (security_invoker = true) AS
        SELECT id, number, model, settings, note, created_at, prompt_id, user_id
        FROM content_promptversion;
    ALTER VIEW playground_promptversion ALTER COLUMN created_at SET DEFAULT statement_timestamp();
    CREATE VIEW playground_prompt WITH (security_invoker = true) AS
        SELECT id, slug, name, shared, (labels->'production'->>0)::int AS production, created_at,
               organisation_id, user_id
        FROM content_prompt;
    CREATE FUNCTION weir_store_prompt() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO content_prompt (id, slug, name, shared, organisation_id, user_id)
            VALUES (NEW.id, NEW.slug, NEW.name, NEW.shared, NEW.organisation_id, NEW.user_id)
            RETURNING created_at INTO NEW.created_at;
        ELSE
            UPDATE content_prompt SET name = NEW.name, shared = NEW.shared, user_id = NEW.user_id,
                labels = CASE
                    WHEN NEW.production IS NULL OR NEW.production = OLD.production THEN labels
                    ELSE labels || jsonb_build_object('production',
                        jsonb_build_array(NEW.production)
                        || coalesce(labels->'production', '[]'::jsonb))
                END
            WHERE id = OLD.id;
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER stored_prompt INSTEAD OF INSERT OR UPDATE ON playground_prompt
        FOR EACH ROW EXECUTE FUNCTION weir_store_prompt();
"""


class Migration(migrations.Migration):
    dependencies = [("playground", "0018_media_kinds_of_services"), ("content", "0003_prompts")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(TABLES), migrations.RunSQL(FORMER_NAMES)],
            state_operations=[
                migrations.DeleteModel("PromptVersion"),
                migrations.DeleteModel("Prompt"),
            ],
        )
    ]
