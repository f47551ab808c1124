"""Holds that wait for an operator, and what was sold costs us: every wallet has its accounts."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0012_looked_up_by_key")]

    operations = [
        migrations.AlterField(
            model_name="hold",
            name="state",
            field=models.CharField(
                choices=[
                    ("open", "Open"),
                    ("kept", "Kept"),
                    ("settled", "Settled"),
                    ("voided", "Voided"),
                    ("expired", "Expired"),
                ],
                default="open",
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="account",
            name="kind",
            field=models.CharField(
                choices=[
                    ("customer:available", "Available"),
                    ("customer:held", "Held"),
                    ("customer:debt", "Debt"),
                    ("revenue", "Revenue"),
                    ("platform:loss", "Loss"),
                    ("provider:payable", "Payable"),
                    ("provider:cost", "Cost"),
                    ("equity:opening", "Opening"),
                    ("equity:adjustment", "Adjustment"),
                    ("promo:issued", "Promo Issued"),
                    ("promo:available", "Promo Available"),
                    ("promo:earmarked", "Promo Earmarked"),
                    ("processor:received:stripe", "Received Stripe"),
                    ("processor:received:manual", "Received Manual"),
                    ("processor:clearing:stripe", "Clearing Stripe"),
                    ("processor:clearing:manual", "Clearing Manual"),
                ],
                max_length=32,
            ),
        ),
        migrations.RunSQL(
            """
            INSERT INTO billing_account (organisation_id, kind, currency, balance_nano)
            SELECT a.organisation_id, made.kind, a.currency, 0
            FROM billing_account a,
                 unnest(ARRAY['revenue', 'provider:payable', 'provider:cost']) AS made (kind)
            WHERE a.kind = 'customer:held'
            ON CONFLICT DO NOTHING""",
            migrations.RunSQL.noop,
        ),
    ]
