"""A request that its client stopped is no error: every rollup is summed again."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("usage", "0007_seals_and_checks")]

    operations = [
        migrations.RunSQL("UPDATE usage_rollupwatermark SET xid = 0", migrations.RunSQL.noop),
    ]
