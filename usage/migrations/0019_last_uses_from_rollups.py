"""What is known of when keys were last used, from before it was written down by itself."""

from django.db import migrations

_FILL = """
    INSERT INTO accounts_secretuse (digest, organisation_id, key_id, at, address, client)
    SELECT key.digest, key.organisation_id, key.id, max(r.bucket_at), '', ''
    FROM usage_rollup r JOIN accounts_key key ON key.id = r.key_id
    GROUP BY key.id
    ON CONFLICT (digest) DO NOTHING"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0018_secret_use"),
        ("usage", "0018_records_by_what_picks_them"),
    ]

    operations = [migrations.RunSQL(_FILL, migrations.RunSQL.noop)]
