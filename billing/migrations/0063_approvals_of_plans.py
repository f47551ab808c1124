from typing import Any

from django.db import migrations

from billing.currency.money import format_multiplier
from billing.prices.pricing import PPM


def _move_cuts(apps: Any, editor: Any) -> None:
    """Move the changes of price plans, and of who is on one, that wait for a second operator."""
    for cut in apps.get_model("billing", "PlanCut").objects.select_related(
        "plan", "organisation", "team", "membership__user"
    ):
        before, after = _before_and_after(apps, cut)
        apps.get_model("billing", "Approval").objects.create(
            kind="plan",
            subject=_subject(cut),
            organisation=cut.organisation,
            about=_about(cut),
            changes=[
                *([{"name": "plan", "before": before[0], "after": after[0]}] if _held(cut) else []),
                {
                    "name": "multiplier",
                    "before": format_multiplier(before[1]),
                    "after": format_multiplier(after[1]),
                },
            ],
            asked_by_id=cut.asked_by_id,
            asked_at=cut.asked_at,
        )


def _held(cut: Any) -> bool:
    return cut.organisation_id is not None


def _subject(cut: Any) -> str:
    if cut.team_id:
        return f"team:{cut.team_id}"
    if cut.membership_id:
        return f"member:{cut.membership_id}"
    return f"organisation:{cut.organisation_id}" if _held(cut) else f"plan:{cut.plan_id}"


def _about(cut: Any) -> str:
    if cut.team or cut.membership:
        name = cut.team.name if cut.team else cut.membership.user.email
        return f"{name} ({cut.organisation.name})"
    return str(cut.organisation.name if cut.organisation else cut.plan.name)


def _before_and_after(apps: Any, cut: Any) -> Any:
    """Return the (plan's name, multiplier) before and after a change."""
    if not _held(cut):
        return (None, cut.plan.multiplier_ppm), (None, cut.multiplier_ppm)

    def plans(model: str, **holder: Any) -> list[Any]:
        rows = apps.get_model("billing", model).objects.filter(**holder)
        return [row.plan for row in rows.select_related("plan")]

    above = [PPM]
    if cut.team or cut.membership:
        of_all = plans("OrganisationPlan", organisation=cut.organisation)
        above = [plan.multiplier_ppm for plan in of_all] or [PPM]
    if cut.membership:
        of_teams = plans("TeamPlan", team__organisation=cut.organisation)
        above += [plan.multiplier_ppm for plan in of_teams]
    if cut.team:
        own = plans("TeamPlan", team=cut.team)
    elif cut.membership:
        own = plans("MemberPlan", membership=cut.membership)
    else:
        own = plans("OrganisationPlan", organisation=cut.organisation)
    before = (own[0].name, own[0].multiplier_ppm) if own else (None, max(above))
    return before, (cut.plan.name if cut.plan else None, cut.multiplier_ppm)


class Migration(migrations.Migration):
    dependencies = [("billing", "0062_approvals_of_safeguards")]

    operations = [
        migrations.RunPython(_move_cuts, elidable=True),
        migrations.DeleteModel(name="PlanCut"),
    ]
