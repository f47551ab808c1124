"""The management API for plans and their holders (organisations, teams, members), for operators.
The pages call the same functions."""

from contextlib import suppress
from typing import Annotated, Final

from django.db.models import QuerySet
from django.utils.translation import gettext
from ninja import Query, Status
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router
from accounts.guards import api_auth
from accounts.models import Membership, Organisation, Team
from billing.access import all_organisations
from billing.approvals.approvals import all_waiting, waiting
from billing.currency.money import MoneyInvalid, format_multiplier, parse_multiplier
from billing.models import Approval, Plan
from billing.price_plans.price_plans import (
    PLAN,
    Holder,
    PlanRefused,
    SecondPersonNeeded,
    assign_plan,
    holders_of,
    plan_subject,
    remove_plan,
    save_plan,
)
from gateway.access import access_price_plan, visible_price_plans
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema
from lib.refusal import Refused

router = Router(tags=["Price book"], auth=api_auth.installation_auth)

_MULTIPLIER: Final = "What prices are multiplied by, an exact decimal such as `1.07`."
Pattern = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\S+$")]


class PlanIn(RequestBody):
    """A new plan."""

    name: str = Field(min_length=1, max_length=120, pattern=r"^\S(.*\S)?$")
    multiplier: str = Field("1", max_length=12, description=_MULTIPLIER)
    models: list[Pattern] = Field(
        default_factory=list, max_length=1000, description="Visible models. Empty: all."
    )


class PlanChange(RequestBody):
    """Changes to a plan. Omitted fields stay as they are."""

    multiplier: str = Field("", max_length=12, description=_MULTIPLIER)
    models: list[Pattern] | None = Field(None, max_length=1000)


class HolderIn(RequestBody):
    """An organisation, or one of its teams or members, to put on a plan or take off it."""

    organisation: str = Field(max_length=60, description="Slug of the organisation.")
    team: str | None = Field(None, max_length=60, description="Slug of one of its teams.")
    member: str | None = Field(
        None, max_length=254, description="Email address of one of its members."
    )
    on: bool = Field(True, description="False: removed from this plan.")


class HolderOut(Schema):
    organisation: str
    team: str | None = Field(description="Null unless it is one team.")
    member: str | None = Field(description="Null unless it is one member.")


class PlanOut(Schema):
    id: str
    name: str
    multiplier: str
    models: list[str]
    organisations: int
    teams: int
    members: int
    waiting_multiplier: str | None = Field(
        description="A cut of more than half that a second operator must approve."
    )


class HolderState(HolderOut):
    on: bool = Field(description="Whether it is on this plan now.")
    waiting: bool = Field(description="Whether a second operator must approve the change.")


class PlanPage(Schema):
    items: list[PlanOut]
    next: str | None


class HolderPage(Schema):
    items: list[HolderOut]
    next: str | None


@router.get("/plans", response=PlanPage, summary="List plans")
def list_plans(actor: Actor, query: Query[pagination.NamedPageQuery]) -> PlanPage:
    """All plans, oldest first."""
    rows: QuerySet[Plan] = visible_price_plans(actor).order_by("id")
    page = pagination.page_by_number(query.filter_by_name(rows), query.limit, query.cursor)
    waits = all_waiting(PLAN)
    items = [_plan(plan, waits.get(plan_subject(plan))) for plan in page.items]
    return PlanPage(items=items, next=page.next)


@router.post("/plans", response={201: PlanOut}, summary="Create a plan")
def create_plan(actor: Actor, body: PlanIn) -> Status[PlanOut]:
    """No one is on it yet."""
    if visible_price_plans(actor).filter(name=body.name).exists():
        text = gettext("Another plan is already named %(plan)s.")
        raise Refused("name", text % {"plan": body.name}, already_exists=True)
    ppm = _multiplier(body.multiplier)
    plan = save_plan(actor, body.name, multiplier_ppm=ppm, models=body.models)
    return Status(201, _show_plan(actor, plan.id))


@router.get("/plans/{id}", response=PlanOut, summary="Show a plan")
def show_plan(actor: Actor, id: str) -> PlanOut:
    """One plan."""
    return _show_plan(actor, id)


@router.patch("/plans/{id}", response=PlanOut, summary="Change a plan")
def change_plan(actor: Actor, id: str, body: PlanChange) -> PlanOut:
    """Applies to new requests. A cut of a multiplier that is in use by more than half waits until a
    second operator approves it, or makes the same change."""
    plan = access_price_plan(actor, id)
    ppm = _multiplier(body.multiplier) if body.multiplier else None
    with suppress(SecondPersonNeeded):  # reported by `waiting_multiplier`
        save_plan(actor, plan.name, multiplier_ppm=ppm, models=body.models)
    return _show_plan(actor, id)


@router.delete("/plans/{id}", response={204: None}, summary="Delete a plan")
def delete_plan(actor: Actor, id: str) -> Status[None]:
    """Only possible when no one is on it."""
    try:
        remove_plan(actor, access_price_plan(actor, id))
    except PlanRefused as error:
        raise Refused("id", str(error)) from error
    return Status(204, None)


@router.get("/plans/{id}/holders", response=HolderPage, summary="List who is on a plan")
def list_holders(actor: Actor, id: str, query: Query[pagination.PageQuery]) -> HolderPage:
    """Organisations, then teams, then members. The plan of a member applies before that of a team,
    and that before the organisation's."""
    holders = holders_of(access_price_plan(actor, id))
    page = pagination.page_by_key(
        holders, query.limit, query.cursor, lambda holder: f"{type(holder).__name__}:{holder.pk}"
    )
    return HolderPage(items=[_holder(holder) for holder in page.items], next=page.next)


@router.put("/plans/{id}/holders", response=HolderState, summary="Change who is on a plan")
def change_holder(actor: Actor, id: str, body: HolderIn) -> HolderState:
    """Puts an organisation, a team or a member on this plan instead of the one before, or takes it
    off. Applies to new requests. If prices fall by more than half, a second operator must approve
    it, or make the same change."""
    plan = access_price_plan(actor, id)
    holder = _find_holder(actor, body)
    if not body.on and holder not in holders_of(plan):
        raise Refused("on", gettext("The organisation, team or member is not on this plan."))
    waits = False
    try:
        assign_plan(actor, holder, plan.name if body.on else "")
    except SecondPersonNeeded:
        waits = True
    on = body.on is not waits
    return HolderState(**_holder(holder).dict(), on=on, waiting=waits)


def _find_holder(actor: Actor, named: HolderIn) -> Holder:
    """Return the named holder. Raises Refused for the invalid field."""
    if named.team and named.member:
        raise Refused("member", gettext("Name a team or a member, not both."))
    organisation = all_organisations(actor).filter(slug=named.organisation).first()
    holder: Holder | None = organisation
    field = "organisation"
    if organisation is not None and named.team:
        field, holder = "team", organisation.teams.filter(slug=named.team).first()
    elif organisation is not None and named.member:
        members = organisation.memberships.filter(user__email__iexact=named.member)
        field, holder = "member", members.first()
    if holder is None:
        raise Refused(field, gettext("No organisation, team or member has that name."))
    return holder


def _multiplier(text: str) -> int:
    try:
        return parse_multiplier(text)
    except MoneyInvalid as error:
        raise Refused("multiplier", str(error)) from error


def _holder(holder: Holder) -> HolderOut:
    if isinstance(holder, Organisation):
        return HolderOut(organisation=holder.slug, team=None, member=None)
    team = holder.slug if isinstance(holder, Team) else None
    member = holder.user.email if isinstance(holder, Membership) else None
    return HolderOut(organisation=holder.organisation.slug, team=team, member=member)


def _show_plan(actor: Actor, id: str | int) -> PlanOut:
    plan = access_price_plan(actor, id)
    return _plan(plan, waiting(PLAN, plan_subject(plan)))


def _plan(plan: Plan, waits: Approval | None) -> PlanOut:
    """Return a plan as `visible_price_plans` returns it, and what waits for a second operator."""
    return PlanOut(
        id=str(plan.id),
        name=plan.name,
        multiplier=format_multiplier(plan.multiplier_ppm),
        models=plan.model_patterns,
        organisations=plan.organisation_count,  # type: ignore[attr-defined]
        teams=plan.team_count,  # type: ignore[attr-defined]
        members=plan.member_count,  # type: ignore[attr-defined]
        waiting_multiplier=waits.changes[0]["after"] if waits else None,
    )
