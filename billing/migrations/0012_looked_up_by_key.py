"""Indexes that each request pays for and nothing reads by are dropped."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_limits"),
        ("billing", "0011_listed_postings"),
    ]

    operations = [
        migrations.AlterField(
            model_name="account",
            name="organisation",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts.organisation",
            ),
        ),
        migrations.AlterField(
            model_name="hold",
            name="organisation",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts.organisation",
            ),
        ),
        migrations.AlterField(
            model_name="posting",
            name="idempotency_id",
            field=models.CharField(max_length=120),
        ),
        migrations.AlterField(
            model_name="posting",
            name="organisation",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts.organisation",
            ),
        ),
        migrations.AddConstraint(
            model_name="hold",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("resolved_at", None), ("state", "open")),
                    models.Q(
                        models.Q(("state", "open"), _negated=True), ("resolved_at__isnull", False)
                    ),
                    _connector="OR",
                ),
                name="hold_open_until_resolved",
            ),
        ),
        migrations.AddConstraint(
            model_name="posting",
            constraint=models.UniqueConstraint(fields=("idempotency_id",), name="posting_once"),
        ),
    ]
