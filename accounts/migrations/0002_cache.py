from django.db import migrations

# What `manage.py createcachetable` would make; here so that a migrated database is complete.
FORWARD = """
    CREATE TABLE accounts_cache (
        cache_key varchar(255) PRIMARY KEY,
        value text NOT NULL,
        expires timestamptz NOT NULL
    );
    CREATE INDEX accounts_cache_expires ON accounts_cache (expires);
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, "DROP TABLE accounts_cache")]
