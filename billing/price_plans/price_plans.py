"""Price plans: a multiplier of the prices, and the models that are shown.

An organisation can have a plan, and so can its teams and members. A request is charged by the plan
of the person, else of the key's team, else of the organisation, else at plain prices. A
subscription may multiply the prices of some models in place of the organisation's plan. A change
applies to requests admitted after it: each attempt carries its multiplier (I11).

A change that lowers somebody's prices by more than half needs two operators, like such a price
change: the first operator requests it, another one makes the same change.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from accounts.models import Key, Membership, Organisation, Team
from accounts.names.names import check_name
from billing.models import (
    MemberPlan,
    OrganisationPlan,
    Plan,
    PlanCut,
    Subscription,
    SubscriptionState,
    TeamPlan,
)
from billing.prices.multipliers import Multiplier, multiplier_for
from billing.prices.pricing import PPM
from billing.subscriptions.plans import multipliers_of_plan


class PlanRefused(ValueError):
    """The plan is not valid; the text says why."""


class SecondPersonNeeded(PlanRefused):
    """The change was requested. It takes effect when another operator requests the same change."""

    def __init__(self) -> None:
        super().__init__("This cuts prices by more than half. Another operator must confirm it.")


@dataclass(frozen=True, slots=True)
class ListedPlan:
    """A plan as pages show it. `model_patterns` () means every model. `subscribed` are the
    multipliers of the organisation's subscription, if they apply."""

    name: str
    multiplier_ppm: int
    model_patterns: tuple[str, ...]
    organisations: int
    subscribed: tuple[Multiplier, ...] = ()

    def multiplier_for(self, model: str) -> int:
        """Return the multiplier of a model's prices, in parts per million."""
        return multiplier_for(self.subscribed, model, self.multiplier_ppm)


STANDARD = ListedPlan("", PPM, (), 0)
"""The plan of organisations without one."""

Holder: TypeAlias = Organisation | Team | Membership
"""An organisation, team or member that can have a plan."""

Level = Literal["organisation", "team", "member"]


class PlanInForce(NamedTuple):
    """The plan that applies, and its level: member, team, organisation or none."""

    plan: ListedPlan
    level: Level


class _Kind(NamedTuple):
    """One kind of plan holder: the table `model` of the assignments, and its column for the
    holder."""

    model: type[OrganisationPlan] | type[TeamPlan] | type[MemberPlan]
    field: str
    level: Level


_KINDS: Final[dict[type[Any], _Kind]] = {
    Membership: _Kind(MemberPlan, "membership", "member"),
    Team: _Kind(TeamPlan, "team", "team"),
    Organisation: _Kind(OrganisationPlan, "organisation", "organisation"),
}


def save_plan(
    actor: Actor,
    name: str,
    *,
    multiplier_ppm: int | None = None,
    models: Sequence[str] | None = None,
) -> Plan:
    """Create a plan, or change the given fields of an existing one. Raises Refused for an invalid
    name, and SecondPersonNeeded if the multiplier must wait for another operator; the models are
    then changed already."""
    name = check_name(name)
    waits = False
    with transaction.atomic():
        plan, _ = Plan.objects.select_for_update().get_or_create(name=name)
        before = _audit_details(plan)
        if multiplier_ppm is not None:
            before_ppm = plan.multiplier_ppm if is_used(plan) else 0
            waits = _has_to_wait(actor, plan, None, before_ppm, multiplier_ppm)
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
            after=_audit_details(plan),
        )
        bump_epoch()
    if waits:
        raise SecondPersonNeeded
    return plan


def _audit_details(plan: Plan) -> dict[str, object]:
    return {"multiplier_ppm": plan.multiplier_ppm, "models": plan.model_patterns}


def remove_plan(actor: Actor, plan: Plan) -> None:
    """Remove a plan. Raises PlanRefused if somebody is on it."""
    with transaction.atomic():
        if is_used(plan):
            text = gettext(
                "The plan %(plan)s is in use. Move everyone on it to another plan first."
            )
            raise PlanRefused(text % {"plan": plan.name})
        audit.record(actor, None, "plan.removed", plan, name=plan.name)
        plan.delete()
        bump_epoch()


def assign_plan(actor: Actor, holder: Holder, name: str) -> None:
    """Put an organisation, a team or a member on the plan with this name; "" removes the holder
    from its plan. Raises PlanRefused for an unknown name, and SecondPersonNeeded if the change must
    wait."""
    plan = Plan.objects.filter(name=name).first() if name else None
    if name and plan is None:
        raise PlanRefused(gettext("There is no plan named %(plan)s.") % {"plan": name})
    organisation = _organisation_of(holder)
    kind = _KINDS[type(holder)]
    with transaction.atomic():
        Organisation.objects.select_for_update().get(id=organisation.id)
        own = _rows_of(holder).select_related("plan").first()
        before = [_list_plan(own.plan, 0)] if own else _plans_above(holder)
        after = [_list_plan(plan, 0)] if plan else _plans_above(holder)
        before_ppm = max(row.multiplier_ppm for row in before)
        waits = _has_to_wait(
            actor, plan, holder, before_ppm, min(row.multiplier_ppm for row in after)
        )
        if not waits:
            _rows_of(holder).delete()
            if plan is not None:
                kind.model.objects.create(**{kind.field: holder, "plan": plan})
            audit.record(actor, organisation, f"{kind.level}.plan", holder, plan=name)
            bump_epoch()
    if waits:
        raise SecondPersonNeeded


def is_used(plan: Plan) -> bool:
    """Return whether an organisation, team or member is on the plan."""
    return any(rows.exists() for rows in (plan.organisations, plan.teams, plan.members))


def plan_names(organisation_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Return the names of the plans of these organisations; those without a plan are missing."""
    rows = OrganisationPlan.objects.filter(organisation__in=organisation_ids)
    return dict(rows.values_list("organisation", "plan__name"))


def holders_of(plan: Plan) -> list[Holder]:
    """Return the holders of the plan: organisations, then teams, then members, each by name."""
    teams = plan.teams.select_related("team__organisation").order_by("team__name")
    members = plan.members.select_related("membership__user", "membership__organisation")
    organisations = plan.organisations.select_related("organisation").order_by("organisation__name")
    return [
        *(row.organisation for row in organisations),
        *(row.team for row in teams),
        *(row.membership for row in members.order_by("membership__user__email")),
    ]


def waiting_cuts(plan: Plan) -> list[PlanCut]:
    """Return the changes of this plan and of its holders that wait for another operator."""
    of_those = (
        Q(organisation__in=plan.organisations.values("organisation"), team=None, membership=None)
        | Q(team__in=plan.teams.values("team"))
        | Q(membership__in=plan.members.values("membership"))
    )
    rows = PlanCut.objects.select_related(
        "plan", "organisation", "team", "membership__user", "asked_by"
    )
    return list(rows.filter(Q(plan=plan) | Q(of_those, plan=None)).order_by("id"))


def _has_to_wait(
    actor: Actor, plan: Plan | None, holder: Holder | None, before: int, after: int
) -> bool:
    """Return whether a change of multiplier must wait for a second operator, and record the change
    if so. A change by the installation's file never waits, because the file was reviewed before."""
    organisation = _organisation_of(holder) if holder else None
    where = {
        "plan": plan,
        "organisation": organisation,
        "team": holder if isinstance(holder, Team) else None,
        "membership": holder if isinstance(holder, Membership) else None,
    }
    cuts = PlanCut.objects.filter(**where)
    first = cuts.select_related("asked_by").first()
    if actor.user is None or 2 * after >= before:
        cuts.delete()
        return False
    if first is not None and first.multiplier_ppm == after and first.asked_by != actor.user:
        cuts.delete()
        return False
    cuts.delete()
    cut = PlanCut.objects.create(**where, multiplier_ppm=after, asked_by=actor.user)
    audit.record(
        actor, organisation, "plan.cut_asked", cut, plan=plan.name if plan else "",
        before_ppm=before, after_ppm=after,
    )  # fmt: skip
    return True


# The plan of an organisation -------------------------------------------------------------------


def plan_of(organisation: Organisation) -> ListedPlan:
    """Return the plan that applies to an organisation, STANDARD if it has none."""
    return plan_in_force(organisation).plan


def plan_of_actor(actor: Actor, key: Key | None = None) -> ListedPlan:
    """Return the plan that applies to the actor's own requests with `key`, or with the actor's key.
    STANDARD outside an organisation."""
    if actor.organisation is None:
        return STANDARD
    key = key or actor.key
    team = key.team if key else None
    return plan_in_force(actor.organisation, team=team, member=_member(actor)).plan


def plan_in_force(
    organisation: Organisation, *, team: Team | None = None, member: Membership | None = None
) -> PlanInForce:
    """Return the plan for a request of a team and a member: the member's plan, else the team's,
    else the organisation's. The relay uses the same order (`relay/credentials/keys.py`)."""
    for holder in (member, team):
        row = _rows_of(holder).select_related("plan").first() if holder else None
        if holder is not None and row is not None:
            return PlanInForce(_list_plan(row.plan, 0), _KINDS[type(holder)].level)
    row = _rows_of(organisation).select_related("plan").first()
    plan = _list_plan(row.plan, 0) if row else STANDARD
    return PlanInForce(
        replace(plan, subscribed=_subscribed_multipliers(organisation)), "organisation"
    )


def _subscribed_multipliers(organisation: Organisation) -> tuple[Multiplier, ...]:
    active = Subscription.objects.filter(state=SubscriptionState.ACTIVE, organisation=organisation)
    subscription = active.select_related("plan").first()
    return multipliers_of_plan(subscription.plan) if subscription else ()


def _member(actor: Actor) -> Membership | None:
    if actor.user is None:
        return None
    return Membership.objects.filter(user=actor.user, organisation=actor.organisation).first()


def _plans_above(holder: Holder) -> list[ListedPlan]:
    """Return the plans that may apply to a holder without a plan. A member can have keys in every
    team."""
    if isinstance(holder, Organisation):
        return [STANDARD]
    plans = [plan_of(holder.organisation)]
    if isinstance(holder, Membership):
        rows = TeamPlan.objects.filter(team__organisation=holder.organisation)
        plans += [_list_plan(row.plan, 0) for row in rows.select_related("plan")]
    return plans


def _organisation_of(holder: Holder) -> Organisation:
    return holder if isinstance(holder, Organisation) else holder.organisation


def _rows_of(holder: Holder) -> QuerySet[Any]:
    kind = _KINDS[type(holder)]
    return kind.model.objects.filter(**{kind.field: holder})


def list_plans() -> list[ListedPlan]:
    """Return every plan with the number of its organisations, by name."""
    plans = Plan.objects.annotate(organisation_count=Count("organisations")).order_by("name")
    return [_list_plan(plan, plan.organisation_count) for plan in plans]


def _list_plan(plan: Plan, organisations: int) -> ListedPlan:
    return ListedPlan(plan.name, plan.multiplier_ppm, tuple(plan.model_patterns), organisations)
