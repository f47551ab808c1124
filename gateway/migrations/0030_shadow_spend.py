"""What the shadows of each rule have cost by day. What today has cost until now is summed once."""

from django.db import migrations, models

_SUM_TODAY = """
    INSERT INTO gateway_shadowspend (rule, day, cost_nano)
    SELECT rule, (at AT TIME ZONE 'UTC')::date, sum(cost_nano) FROM gateway_shadowanswer
    WHERE at >= date_trunc('day', now(), 'UTC')
    GROUP BY 1, 2"""


class Migration(migrations.Migration):
    dependencies = [("gateway", "0028_shadow_traffic")]

    operations = [
        migrations.CreateModel(
            name="ShadowSpend",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "day",
                        "rule",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("day", models.DateField()),
                ("rule", models.CharField(max_length=200)),
                ("cost_nano", models.BigIntegerField()),
            ],
        ),
        migrations.RunSQL(_SUM_TODAY, migrations.RunSQL.noop),
    ]
