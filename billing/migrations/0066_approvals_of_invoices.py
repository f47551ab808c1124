from typing import Any

from django.db import migrations

from billing.currency.money import format_usd
from lib.ids import id_text


def _move_invoices(apps: Any, editor: Any) -> None:
    """Move the documents that one operator has proposed and another one must close."""
    invoices = apps.get_model("billing", "Invoice").objects.filter(state="proposed")
    for row in invoices.exclude(proposed_by=None).select_related("organisation"):
        values = {
            "document": row.kind,
            "month": f"{row.month:%Y-%m}",
            "total": format_usd(row.total_nano),
            "checksum": row.checksum,
        }
        approval = apps.get_model("billing", "Approval").objects.create(
            kind="invoice",
            subject=id_text(row.id),
            organisation=row.organisation,
            about=f"{row.organisation.name} {row.month:%Y-%m}"[:200],
            changes=[
                {"name": name, "before": None, "after": after} for name, after in values.items()
            ],
            reason=row.reason,
            asked_by_id=row.proposed_by_id,
        )
        if row.proposed_at is not None:
            approval.asked_at = row.proposed_at
            approval.save(update_fields=["asked_at"])


class Migration(migrations.Migration):
    dependencies = [("billing", "0065_approvals_of_top_ups")]

    operations = [migrations.RunPython(_move_invoices, elidable=True)]
