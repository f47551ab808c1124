"""Plans: what organisations pay, as a multiple of the prices, and which models they are shown.

An organisation without a plan pays the prices as they are. A change holds for the requests that
are admitted after it: each attempt carries the multiplier that it was admitted with (I11).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count

from accounts import audit
from accounts.access import Actor
from accounts.epoch import bump_epoch
from accounts.models import Organisation
from billing.models import OrganisationPlan, Plan
from billing.rules.pricing import PPM


class PlanRefused(ValueError):
    """The plan cannot be so; the text says why."""


@dataclass(frozen=True, slots=True)
class ListedPlan:
    """A plan as it is shown; `model_patterns` () = every model."""

    name: str
    multiplier_ppm: int
    model_patterns: tuple[str, ...]
    organisations: int


STANDARD = ListedPlan("", PPM, (), 0)
"""What holds for an organisation that has no plan."""


def save_plan(
    actor: Actor,
    name: str,
    *,
    multiplier_ppm: int | None = None,
    models: Sequence[str] | None = None,
) -> Plan:
    """Make a plan, or set what is given of one that is there."""
    with transaction.atomic():
        plan, _ = Plan.objects.select_for_update().get_or_create(name=name)
        if multiplier_ppm is not None:
            plan.multiplier_ppm = multiplier_ppm
        if models is not None:
            plan.model_patterns = list(models)
        plan.full_clean()
        plan.save()
        audit.record(
            actor,
            None,
            "plan.saved",
            plan,
            name=name,
            multiplier_ppm=plan.multiplier_ppm,
            models=plan.model_patterns,
        )
        bump_epoch()
    return plan


def remove_plan(actor: Actor, plan: Plan) -> None:
    """Remove a plan that no organisation is on. PlanRefused else."""
    with transaction.atomic():
        if plan.organisations.exists():
            raise PlanRefused(
                f"Organisations are on the plan {plan.name}: move them to another one first."
            )
        audit.record(actor, None, "plan.removed", plan, name=plan.name)
        plan.delete()
        bump_epoch()


def put_on_plan(actor: Actor, organisation: Organisation, name: str) -> None:
    """Put an organisation on the plan of that name; "" takes it off any. PlanRefused for an
    unknown name."""
    with transaction.atomic():
        if not name:
            OrganisationPlan.objects.filter(organisation=organisation).delete()
        else:
            plan = Plan.objects.filter(name=name).first()
            if plan is None:
                raise PlanRefused(f"There is no plan named {name!r}.")
            OrganisationPlan.objects.update_or_create(
                organisation=organisation, defaults={"plan": plan}
            )
        audit.record(actor, organisation, "organisation.plan", organisation, plan=name)
        bump_epoch()


def plan_of(organisation: Organisation) -> ListedPlan:
    """The plan that an organisation is on, STANDARD when on none."""
    row = OrganisationPlan.objects.select_related("plan").filter(organisation=organisation).first()
    return STANDARD if row is None else _listed(row.plan, 0)


def list_plans() -> list[ListedPlan]:
    """Every plan with the number of its organisations, by name."""
    plans = Plan.objects.annotate(members=Count("organisations")).order_by("name")
    return [_listed(plan, plan.members) for plan in plans]


def _listed(plan: Plan, organisations: int) -> ListedPlan:
    return ListedPlan(plan.name, plan.multiplier_ppm, tuple(plan.model_patterns), organisations)
