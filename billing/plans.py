"""Plans: what organisations pay, as a multiple of the prices, and which models they are shown.

An organisation without a plan pays the prices as they are. A change holds for the requests that
are admitted after it: each attempt carries the multiplier that it was admitted with (I11).

A change by which somebody pays less than half of what it was needs two operators, as such a price
does: the first asks for it, another one does the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, Q
from django.utils.translation import gettext

from accounts import audit
from accounts.actors import Actor
from accounts.epoch import bump_epoch
from accounts.models import Organisation
from billing.models import OrganisationPlan, Plan, PlanCut
from billing.rules.pricing import PPM


class PlanRefused(ValueError):
    """The plan cannot be so; the text says why."""


class SecondPersonNeeded(PlanRefused):
    """The change is asked for, and waits for another operator to make it too."""

    def __init__(self) -> None:
        super().__init__("This cuts prices by more than half. Another operator must confirm it.")


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
    """Make a plan, or set what is given of one that is there. SecondPersonNeeded when the
    multiplier waits; the models are set then."""
    waits = False
    with transaction.atomic():
        plan, _ = Plan.objects.select_for_update().get_or_create(name=name)
        before = _facts(plan)
        if multiplier_ppm is not None:
            before_ppm = plan.multiplier_ppm if plan.organisations.exists() else 0
            waits = _waits(actor, plan, None, before_ppm, multiplier_ppm)
            if not waits:
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
            before=before,
            after=_facts(plan),
        )
        bump_epoch()
    if waits:
        raise SecondPersonNeeded
    return plan


def _facts(plan: Plan) -> dict[str, object]:
    return {"multiplier_ppm": plan.multiplier_ppm, "models": plan.model_patterns}


def remove_plan(actor: Actor, plan: Plan) -> None:
    """Remove a plan that no organisation is on. PlanRefused else."""
    with transaction.atomic():
        if plan.organisations.exists():
            text = gettext(
                "Organisations are on the plan %(plan)s. Move them to another plan first."
            )
            raise PlanRefused(text % {"plan": plan.name})
        audit.record(actor, None, "plan.removed", plan, name=plan.name)
        plan.delete()
        bump_epoch()


def put_on_plan(actor: Actor, organisation: Organisation, name: str) -> None:
    """Put an organisation on the plan of that name; "" takes it off any. PlanRefused for an
    unknown name, SecondPersonNeeded when it waits."""
    plan = Plan.objects.filter(name=name).first() if name else None
    if name and plan is None:
        raise PlanRefused(gettext("There is no plan named %(plan)s.") % {"plan": name})
    with transaction.atomic():
        Organisation.objects.select_for_update().get(id=organisation.id)
        after_ppm = plan.multiplier_ppm if plan else PPM
        waits = _waits(actor, plan, organisation, plan_of(organisation).multiplier_ppm, after_ppm)
        if not waits:
            OrganisationPlan.objects.filter(organisation=organisation).delete()
            if plan is not None:
                OrganisationPlan.objects.create(organisation=organisation, plan=plan)
            audit.record(actor, organisation, "organisation.plan", organisation, plan=name)
            bump_epoch()
    if waits:
        raise SecondPersonNeeded


def waiting_cuts(plan: Plan) -> list[PlanCut]:
    """What waits for another operator: of this plan, and of the organisations that are on it."""
    on_it = plan.organisations.values("organisation")
    rows = PlanCut.objects.select_related("plan", "organisation", "asked_by")
    return list(rows.filter(Q(plan=plan) | Q(plan=None, organisation__in=on_it)).order_by("id"))


def _waits(
    actor: Actor, plan: Plan | None, organisation: Organisation | None, before: int, after: int
) -> bool:
    """Whether a change from one multiplier to another must wait for a second operator; it is
    written down then. The installation itself waits for nobody: its file is reviewed before."""
    cuts = PlanCut.objects.filter(plan=plan, organisation=organisation)
    first = cuts.select_related("asked_by").first()
    if actor.user is None or 2 * after >= before:
        cuts.delete()
        return False
    if first is not None and first.multiplier_ppm == after and first.asked_by != actor.user:
        cuts.delete()
        return False
    cuts.delete()
    cut = PlanCut.objects.create(
        plan=plan, organisation=organisation, multiplier_ppm=after, asked_by=actor.user
    )
    audit.record(
        actor, organisation, "plan.cut_asked", cut, plan=plan.name if plan else "",
        before_ppm=before, after_ppm=after,
    )  # fmt: skip
    return True


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
