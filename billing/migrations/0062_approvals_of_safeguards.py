from typing import Any

from django.db import migrations

from billing.currency.money import format_usd
from billing.safeguards.rules import DEFAULTS


def _move_safeguards(apps: Any, editor: Any) -> None:
    """Move the values that wait for a second operator."""
    safeguard_model = apps.get_model("billing", "Safeguard")
    for row in safeguard_model.objects.exclude(proposed=None):
        for_all = safeguard_model.objects.filter(name=row.name, organisation=None).first()
        stored = [row.value, for_all.value if for_all else None, DEFAULTS[row.name]]
        before = next(value for value in stored if value is not None)
        form = format_usd if row.name == "credit_limit" else str
        apps.get_model("billing", "Approval").objects.create(
            kind="safeguard",
            subject=str(row.pk),
            organisation=row.organisation,
            about=row.name,
            changes=[{"name": row.name, "before": form(before), "after": form(row.proposed)}],
            asked_by_id=row.proposed_by_id,
        )


class Migration(migrations.Migration):
    dependencies = [("billing", "0061_approvals")]

    operations = [
        migrations.RunPython(_move_safeguards, elidable=True),
        migrations.RemoveConstraint(model_name="safeguard", name="safeguard_proposer"),
        migrations.RemoveField(model_name="safeguard", name="proposed"),
        migrations.RemoveField(model_name="safeguard", name="proposed_by"),
    ]
