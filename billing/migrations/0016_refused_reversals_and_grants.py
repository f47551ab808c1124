import django.db.models.deletion
from django.db import migrations, models

# The trigger refuses an edit whoever tries; without the right to it there is no statement that
# could be tried, not even by the owner of the tables, who would have to grant it back first. A
# superuser needs no right: there the trigger stands alone (I2).
_TABLES = "billing_posting, billing_ledgerentry, billing_seal, accounts_auditevent"
_TAKE = f"REVOKE UPDATE, DELETE, TRUNCATE ON {_TABLES} FROM PUBLIC, CURRENT_USER"
_GIVE = f"GRANT UPDATE, DELETE, TRUNCATE ON {_TABLES} TO CURRENT_USER"


class Migration(migrations.Migration):
    dependencies = [("billing", "0015_plan_cuts"), ("accounts", "0006_include_cost")]

    operations = [
        migrations.AlterField(
            model_name="credit",
            name="reverses",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="billing.posting",
            ),
        ),
        migrations.AddConstraint(
            model_name="credit",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "refused"), _negated=True),
                fields=("reverses",),
                name="reversed_once",
            ),
        ),
        migrations.RunSQL(_TAKE, _GIVE),
    ]
