from typing import Any

from django.db import migrations, models

from billing.currency.money import format_multiplier
from billing.prices.meters import format_rate
from billing.prices.rate_changes import RateChange, rate_changes
from lib.clock import rfc3339
from lib.ids import id_text


def _move_proposals(apps: Any, editor: Any) -> None:
    """Move the proposals that one person has accepted and another one must."""
    proposals = apps.get_model("billing", "PriceProposal").objects.filter(state="second")
    for row in proposals.exclude(first_by=None):
        parts = (row.model, row.channel, row.service_tier, row.hours, row.region)
        apps.get_model("billing", "Approval").objects.create(
            kind="price",
            subject=id_text(row.id),
            about=" ".join(filter(None, parts))[:200],
            changes=[*_changes(row), *_replaced(apps, row)],
            reason=row.note,
            asked_by_id=row.first_by_id,
        )
    proposals.update(state="open")


def _changes(row: Any) -> list[dict[str, str | None]]:
    changes = [
        {
            "name": _place(change),
            "before": _rate(change.meter, change.before),
            "after": _rate(change.meter, change.after),
        }
        for change in rate_changes(row.replaces, row.rates)
    ]
    if row.valid_from is not None:
        changes.append({"name": "valid_from", "before": None, "after": rfc3339(row.valid_from)})
    return changes


def _replaced(apps: Any, row: Any) -> list[dict[str, str | None]]:
    """Return the planned version that begins at the same time and would be replaced."""
    if row.valid_from is None:
        return []
    names = ("model", "kind", "channel", "service_tier", "hours", "region")
    place = {f"price__{name}": getattr(row, name) for name in names}
    versions = apps.get_model("billing", "PriceVersion").objects.filter(
        **place, valid_from=row.valid_from
    )
    planned = versions.exclude(source__startswith="genai-prices").first()
    return [{"name": "replaces", "before": f"#{planned.id}", "after": None}] if planned else []


def _place(change: RateChange) -> str:
    condition = "=".join(change.condition) if change.condition else ""
    tier = "" if change.input_over is None else f">{change.input_over}"
    return " ".join(filter(None, (condition, change.meter or "multiplier", tier)))


def _rate(meter: str, rate: int | None) -> str | None:
    if rate is None:
        return None
    return format_rate(meter, rate) if meter else format_multiplier(rate)


class Migration(migrations.Migration):
    dependencies = [("billing", "0063_approvals_of_plans")]

    operations = [
        migrations.RemoveConstraint(model_name="priceproposal", name="proposal_open_once"),
        migrations.RunPython(_move_proposals, elidable=True),
        migrations.RemoveField(model_name="priceproposal", name="first_by"),
        migrations.AlterField(
            model_name="priceproposal",
            name="state",
            field=models.CharField(
                choices=[("open", "Open"), ("accepted", "Accepted"), ("ignored", "Ignored")],
                default="open",
                max_length=8,
            ),
        ),
        migrations.AddConstraint(
            model_name="priceproposal",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "open"), models.Q(("source", "draft"), _negated=True)),
                fields=(
                    "model",
                    "kind",
                    "channel",
                    "service_tier",
                    "hours",
                    "region",
                    "source",
                ),
                name="proposal_open_once",
            ),
        ),
    ]
