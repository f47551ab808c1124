from typing import Any

from django.db import migrations

from billing.currency.money import format_usd
from lib.ids import id_text


def _move_transfers(apps: Any, editor: Any) -> None:
    """Move the transfers that one operator has confirmed and another one must."""
    top_ups = apps.get_model("billing", "TopUp").objects.filter(state="pending", processor="manual")
    for row in top_ups.exclude(confirmed_by=None).select_related("organisation"):
        values = {"amount": format_usd(row.amount_nano), "document": row.payment_id}
        apps.get_model("billing", "Approval").objects.create(
            kind="top_up",
            subject=id_text(row.id),
            organisation=row.organisation,
            about=row.organisation.name,
            changes=[
                {"name": name, "before": None, "after": after} for name, after in values.items()
            ],
            asked_by_id=row.confirmed_by_id,
        )


class Migration(migrations.Migration):
    dependencies = [("billing", "0064_approvals_of_prices")]

    operations = [
        migrations.RunPython(_move_transfers, elidable=True),
        migrations.RemoveField(model_name="topup", name="confirmed_by"),
    ]
