from django.db import migrations, models

# What was counted so far is what every transaction before `xid` wrote.
_CARRY = """
    UPDATE gateway_trafficcursor
    SET snapshot = format('%s:%s:', greatest(xid, 1), greatest(xid, 1))"""


class Migration(migrations.Migration):
    dependencies = [("gateway", "0011_traffic")]

    operations = [
        migrations.AddField(
            model_name="trafficcursor", name="snapshot", field=models.TextField(default="1:1:")
        ),
        migrations.RunSQL(_CARRY, migrations.RunSQL.noop),
        migrations.AlterField(
            model_name="trafficcursor", name="snapshot", field=models.TextField()
        ),
        migrations.RemoveField(model_name="trafficcursor", name="xid"),
    ]
