"""Price plans: a multiplier of the prices, and the models that are shown.

An organisation can have a plan, and so can its teams and members. A request is charged by the plan
of the person, else of the key's team, else of the organisation, else at plain prices. A
subscription may multiply the prices of some models in place of the organisation's plan. A change
applies to requests admitted after it: each attempt carries its multiplier (I11).

A change that lowers somebody's prices by more than half needs two operators, like such a price
change: the first operator requests it, another one approves it or makes the same change.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext, gettext_lazy

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from accounts.models import Key, Membership, Organisation, Team
from accounts.names.names import check_name
from billing.approvals.approvals import (
    Kind,
    organisation_id_of,
    register,
    request_approval,
    withdraw_waiting,
)
from billing.approvals.rules import Change
from billing.currency.money import format_multiplier, parse_multiplier
from billing.models import (
    Approval,
    ApprovalState,
    MemberPlan,
    OrganisationPlan,
    Plan,
    Subscription,
    SubscriptionState,
    TeamPlan,
)
from billing.price_plans.words import show_plan_change
from billing.prices.multipliers import Multiplier, multiplier_for
from billing.prices.pricing import PPM
from billing.subscriptions.subscription_plans import subscription_multipliers
from lib.refusal import Refused

PLAN: Final = "plan"
"""The kind of its approvals."""


class PlanRefused(ValueError):
    """The plan is not valid; the text says why."""


class SecondPersonNeeded(PlanRefused):
    """The change was requested. It takes effect when another operator approves it."""

    def __init__(self) -> None:
        super().__init__("This cuts prices by more than half. Another operator must confirm it.")


@dataclass(frozen=True, slots=True)
class ListedPricePlan:
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


STANDARD = ListedPricePlan("", PPM, (), 0)
"""The plan of organisations without one."""

Holder: TypeAlias = Organisation | Team | Membership
"""An organisation, team or member that can have a plan."""

Level = Literal["organisation", "team", "member"]


class PlanInForce(NamedTuple):
    """The plan that applies, and its level: member, team, organisation or none."""

    plan: ListedPricePlan
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
        plan, created = Plan.objects.select_for_update().get_or_create(name=name)
        after_ppm = plan.multiplier_ppm if multiplier_ppm is None else multiplier_ppm
        if is_used(plan) and _needs_two(actor, plan.multiplier_ppm, after_ppm):
            changes = _multiplier_changes(plan, after_ppm)
            approval = request_approval(actor, PLAN, plan_subject(plan), changes, about=plan.name)
            waits = approval.state == ApprovalState.WAITING
            plan.refresh_from_db()
            after_ppm = plan.multiplier_ppm
        elif after_ppm != plan.multiplier_ppm:
            withdraw_waiting(actor, PLAN, plan_subject(plan))
        _save(actor, plan, after_ppm, models, created=created)
    if waits:
        raise SecondPersonNeeded
    return plan


def _save(
    actor: Actor,
    plan: Plan,
    multiplier_ppm: int,
    models: Sequence[str] | None,
    *,
    created: bool = False,
) -> None:
    before = _audit_details(plan)
    plan.multiplier_ppm = multiplier_ppm
    if models is not None:
        plan.model_patterns = list(models)
    after = _audit_details(plan)
    if before == after and not created:
        return
    plan.full_clean()
    plan.save()
    audit.record(actor, None, "plan.saved", plan, name=plan.name, before=before, after=after)
    bump_epoch()


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
        withdraw_waiting(actor, PLAN, plan_subject(plan))
        audit.record(actor, None, "plan.removed", plan, name=plan.name)
        plan.delete()
        bump_epoch()


def assign_plan(actor: Actor, holder: Holder, name: str) -> None:
    """Put an organisation, a team or a member on the plan with this name; "" removes the holder
    from its plan. Raises PlanRefused for an unknown name, and SecondPersonNeeded if the change must
    wait."""
    organisation = _organisation_of(holder)
    waits = False
    with transaction.atomic():
        plan = _lock_plan(name)
        if name and plan is None:
            raise PlanRefused(gettext("There is no plan named %(plan)s.") % {"plan": name})
        Organisation.objects.select_for_update(no_key=True).get(id=organisation.id)
        change = _plan_change(holder, plan)
        subject = f"{_KINDS[type(holder)].level}:{holder.pk}"
        if _needs_two(actor, change.before_ppm, change.after_ppm):
            approval = request_approval(
                actor, PLAN, subject, change.changes,
                about=_name_of(holder), organisation=organisation,
            )  # fmt: skip
            waits = approval.state == ApprovalState.WAITING
        else:
            withdraw_waiting(actor, PLAN, subject)
            _assign(actor, holder, plan)
    if waits:
        raise SecondPersonNeeded


def _lock_plan(name: str | None) -> Plan | None:
    """Lock a plan by its name, before the organisation that gets it: meanwhile nobody changes its
    multiplier alone, as if it were not in use."""
    return Plan.objects.select_for_update().filter(name=name).first() if name else None


def _assign(actor: Actor, holder: Holder, plan: Plan | None) -> None:
    kind = _KINDS[type(holder)]
    _rows_of(holder).delete()
    if plan is not None:
        kind.model.objects.create(**{kind.field: holder, "plan": plan})
    name = plan.name if plan else ""
    audit.record(actor, _organisation_of(holder), f"{kind.level}.plan", holder, plan=name)
    bump_epoch()


def is_used(plan: Plan) -> bool:
    """Return whether an organisation, team or member is on the plan."""
    return any(rows.exists() for rows in (plan.organisations, plan.teams, plan.members))


def price_plan_names(organisation_ids: Iterable[UUID]) -> dict[UUID, str]:
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


# Changes that need two operators ---------------------------------------------------------------


class _PlanChange(NamedTuple):
    """A change of a holder's plan, with the multipliers before and after it."""

    changes: list[Change]
    before_ppm: int
    after_ppm: int


def waiting_cuts(plan: Plan) -> list[Approval]:
    """Return the changes of this plan, and of who is on it, that wait for another operator."""
    about_it = Q(subject=plan_subject(plan))
    for side in ("before", "after"):
        about_it |= Q(changes__contains=[{"name": "plan", side: plan.name}])
    rows = Approval.objects.filter(about_it, kind=PLAN, state=ApprovalState.WAITING)
    return list(rows.select_related("asked_by").order_by("id"))


def _needs_two(actor: Actor, before_ppm: int, after_ppm: int) -> bool:
    """Return whether a change of multiplier needs a second operator. A change by the installation's
    file never does, because the file was reviewed before."""
    return actor.user is not None and 2 * after_ppm < before_ppm


def _multiplier_changes(plan: Plan, after_ppm: int) -> list[Change]:
    before, after = format_multiplier(plan.multiplier_ppm), format_multiplier(after_ppm)
    return [Change(name="multiplier", before=before, after=after)]


def _plan_change(holder: Holder, plan: Plan | None) -> _PlanChange:
    own = _rows_of(holder).select_related("plan").first()
    before = [_list_plan(own.plan, 0)] if own else _plans_above(holder)
    after = [_list_plan(plan, 0)] if plan else _plans_above(holder)
    before_ppm = max(row.multiplier_ppm for row in before)
    after_ppm = min(row.multiplier_ppm for row in after)
    names = (own.plan.name if own else None, plan.name if plan else None)
    multipliers = (format_multiplier(before_ppm), format_multiplier(after_ppm))
    changes = [
        Change(name=name, before=values[0], after=values[1])
        for name, values in (("plan", names), ("multiplier", multipliers))
    ]
    return _PlanChange(changes, before_ppm, after_ppm)


def _plan_of(approval: Approval) -> Plan:
    """Lock and return the plan whose multiplier would change. Raises Refused."""
    plan = Plan.objects.select_for_update().filter(id=approval.subject.partition(":")[2]).first()
    if plan is None:
        raise Refused("approval", gettext("This plan no longer exists."))
    return plan


def _holder_of(approval: Approval) -> Holder:
    """Return the holder whose plan would change. Raises Refused."""
    level, _, id = approval.subject.partition(":")
    model = next(model for model, kind in _KINDS.items() if kind.level == level)
    holder: Holder | None = model._default_manager.filter(pk=id).first()
    if holder is None:
        raise Refused("approval", gettext("Whoever would be on this plan no longer exists."))
    return holder


def plan_subject(plan: Plan) -> str:
    """Return the subject of an approval of a plan's multiplier."""
    return f"plan:{plan.id}"


def _is_of_plan(approval: Approval) -> bool:
    return approval.subject.startswith("plan:")


def _wanted_plan(approval: Approval) -> Plan | None:
    name = approval.changes[0]["after"]
    plan = _lock_plan(name)
    if name and plan is None:
        raise Refused("approval", gettext("There is no plan named %(plan)s.") % {"plan": name})
    return plan


def _changes_now(approval: Approval) -> list[Change]:
    if _is_of_plan(approval):
        after_ppm = parse_multiplier(approval.changes[0]["after"])
        return _multiplier_changes(_plan_of(approval), after_ppm)
    return _plan_change(_holder_of(approval), _wanted_plan(approval)).changes


def _apply(actor: Actor, approval: Approval) -> None:
    if _is_of_plan(approval):
        after_ppm = parse_multiplier(approval.changes[0]["after"])
        _save(actor, _plan_of(approval), after_ppm, None)
    else:
        _assign(actor, _holder_of(approval), _wanted_plan(approval))


def _lock(approval: Approval) -> object:
    if _is_of_plan(approval):
        return Plan.objects.select_for_update().filter(pk=approval.subject[5:]).first()
    _lock_plan(approval.changes[0]["after"])
    return Organisation.objects.select_for_update(no_key=True).get(id=organisation_id_of(approval))


def _name_of(holder: Holder) -> str:
    if isinstance(holder, Organisation):
        return holder.name
    name = holder.name if isinstance(holder, Team) else holder.user.email
    return f"{name} ({holder.organisation.name})"


register(
    Kind(
        PLAN,
        gettext_lazy("Price plan"),
        "prices.write",
        changes=_changes_now,
        apply=_apply,
        show=show_plan_change,
        page="price_plans",
        lock=_lock,
    )
)


# The plan of an organisation -------------------------------------------------------------------


def price_plan_of(organisation: Organisation) -> ListedPricePlan:
    """Return the plan that applies to an organisation, STANDARD if it has none."""
    return price_plan_in_force(organisation).plan


def price_plan_of_actor(actor: Actor, key: Key | None = None) -> ListedPricePlan:
    """Return the plan that applies to the actor's own requests with `key`, or with the actor's key.
    STANDARD outside an organisation."""
    if actor.organisation is None:
        return STANDARD
    key = key or actor.key
    team = key.team if key else None
    return price_plan_in_force(actor.organisation, team=team, member=_member(actor)).plan


def price_plan_in_force(
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
    return subscription_multipliers(subscription.plan) if subscription else ()


def _member(actor: Actor) -> Membership | None:
    if actor.user is None:
        return None
    return Membership.objects.filter(user=actor.user, organisation=actor.organisation).first()


def _plans_above(holder: Holder) -> list[ListedPricePlan]:
    """Return the plans that may apply to a holder without a plan. A member can have keys in every
    team."""
    if isinstance(holder, Organisation):
        return [STANDARD]
    plans = [price_plan_of(holder.organisation)]
    if isinstance(holder, Membership):
        rows = TeamPlan.objects.filter(team__organisation=holder.organisation)
        plans += [_list_plan(row.plan, 0) for row in rows.select_related("plan")]
    return plans


def _organisation_of(holder: Holder) -> Organisation:
    return holder if isinstance(holder, Organisation) else holder.organisation


def _rows_of(holder: Holder) -> QuerySet[Any]:
    kind = _KINDS[type(holder)]
    return kind.model.objects.filter(**{kind.field: holder})


def list_price_plans() -> list[ListedPricePlan]:
    """Return every plan with the number of its organisations, by name."""
    plans = Plan.objects.annotate(organisation_count=Count("organisations")).order_by("name")
    return [_list_plan(plan, plan.organisation_count) for plan in plans]


def _list_plan(plan: Plan, organisations: int) -> ListedPricePlan:
    return ListedPricePlan(
        plan.name, plan.multiplier_ppm, tuple(plan.model_patterns), organisations
    )
