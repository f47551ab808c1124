"""Files of chats that were deleted are removed, as those that were attached and never sent.

A file goes with the last message that names it since; what was left behind before goes now. A day
is left to what a running answer has just made and not yet named.
"""

from django.db import migrations

_LEFT_BEHIND = """
    UPDATE playground_attachment SET unsent_until = now()
    WHERE unsent_until IS NULL AND created_at < now() - interval '1 day' AND id::text NOT IN (
        SELECT file ->> 'id' FROM playground_message m, jsonb_array_elements(
            coalesce(m.parts -> 'files', '[]') || coalesce(m.parts -> 'media', '[]')) file
        WHERE file ->> 'id' IS NOT NULL)
"""


class Migration(migrations.Migration):
    dependencies = [("playground", "0008_payers")]

    operations = [migrations.RunSQL(_LEFT_BEHIND, migrations.RunSQL.noop)]
