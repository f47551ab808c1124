"""What channels cost by day, and caps on it. What this month has cost until now is summed once."""

from django.db import migrations, models

# What the counting of the traffic has seen; what it has not seen yet it sums itself.
_SUM_MONTH = """
    INSERT INTO gateway_channelspend (channel_id, day, cost_nano)
    SELECT r.channel_id, (r.ended_at AT TIME ZONE 'UTC')::date,
           sum(coalesce(r.cost_nano, r.charge_nano))
    FROM gateway_trafficcursor seen
    JOIN usage_usagerecord r ON pg_visible_in_snapshot(r.xid, seen.snapshot::pg_snapshot)
    WHERE r.ended_at >= date_trunc('month', now(), 'UTC')
      AND r.ended_at >= coalesce(seen.since, '-infinity') AND r.channel_id IS NOT NULL
    GROUP BY 1, 2"""


class Migration(migrations.Migration):
    dependencies = [("gateway", "0015_channel_limits"), ("usage", "0020_skipped_channels")]

    operations = [
        migrations.CreateModel(
            name="ChannelSpend",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "channel_id",
                        "day",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("channel_id", models.UUIDField()),
                ("day", models.DateField()),
                ("cost_nano", models.BigIntegerField()),
            ],
        ),
        migrations.AddField(
            model_name="channel",
            name="spend_cap_day_nano",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="channel",
            name="spend_cap_month_nano",
            field=models.BigIntegerField(null=True),
        ),
        migrations.RunSQL(_SUM_MONTH, migrations.RunSQL.noop),
    ]
