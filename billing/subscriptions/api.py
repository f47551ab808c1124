"""The management API of subscriptions, and of the plans that operators write. Pages call the same
functions."""

import datetime as dt
from collections.abc import Callable
from typing import Any, Literal
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from ninja import Query
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from accounts.models import Organisation
from billing.access import (
    access_subscription_plan,
    access_wallet,
    offered_plan,
    offered_plans,
    visible_subscription_plans,
)
from billing.credits.api import amount_of
from billing.currency.money import format_multiplier, format_usd
from billing.idempotency import Answer, answer_idempotently
from billing.models import Subscription, SubscriptionPlan
from billing.periods.months import month_after
from billing.prices.multipliers import MULTIPLIERS_MAX
from billing.subscriptions import subscription_plans, subscriptions
from billing.subscriptions.included_units import TERMS_MAX, UNITS_MAX
from billing.subscriptions.rules import Terms
from billing.subscriptions.subscription_plans import (
    DESCRIPTION_MAX,
    SubscriptionRefused,
    read_multiplier,
    subscription_multipliers,
    unit_term,
)
from lib import clock
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema, also_answers
from lib.ids import id_text
from lib.numbers.whole_numbers import Whole

router = Router(tags=["Subscription"])
operator_router = Router(tags=["Subscription plans"], auth=api_auth.installation_auth)


class UnitsOut(Schema):
    """Units of a meter that a month includes."""

    meter: str
    models: list[str] = Field(description="Names or patterns; empty for every model.")
    units: int


class UnitsLeftOut(UnitsOut):
    """Units of the current month. The amount that is neither used nor held is left."""

    used: int
    held: int = Field(description="Taken by requests that run.")


class UnitsMoreOut(UnitsOut):
    """`units` are added; below 0 they are removed."""


class UnitsIn(RequestBody):
    """Units of a meter, as prices name it, per month."""

    meter: str = Field(min_length=1, max_length=40)
    models: list[str] = Field(
        default_factory=list, max_length=20, description="Names or patterns; empty for every model."
    )
    units: Whole = Field(ge=1, le=UNITS_MAX)


class MultiplierOut(Schema):
    """The multiplier of the prices of models that match a pattern."""

    pattern: str
    multiplier: str


class MultiplierIn(RequestBody):
    """What to multiply the prices of the models that fit a pattern by."""

    pattern: str = Field(min_length=1, max_length=200, description="A model, or such as gpt-5*.")
    multiplier: str = Field(max_length=40, description="From 0 to 1000, such as 0.8.")


class SubscriptionPlanOut(Schema):
    """A subscription plan. Amounts are exact decimals in USD, of a whole month."""

    id: str
    name: str
    description: str
    price: str
    included: str = Field(description="Usage at list prices that the price includes.")
    units: list[UnitsOut] = Field(description="Units that the price includes, by meter.")
    multipliers: list[MultiplierOut] = Field(
        description="The first that fits the model applies, in the place of the multiplier of the "
        "organisation's price plan."
    )
    overage: Literal["balance", "refuse"] = Field(
        description="What becomes of requests beyond that: paid from the balance, or rejected."
    )


class SubscriptionOut(Schema):
    """Amounts are exact decimals in USD."""

    plan: str = Field(description="ID of the plan.")
    terms: SubscriptionPlanOut
    state: Literal["active", "unpaid", "ended"]
    timezone: str
    month: str = Field(description="The latest month that was paid.")
    renews_on: dt.date | None = Field(description="None when it is cancelled, or has ended.")
    ends_on: dt.date | None = Field(description="The first day without it.")
    included_granted: str = Field(description="For this month.")
    included_left: str = Field(description="As counted every minute.")
    units: list[UnitsLeftOut] = Field(description="For this month.")


class CurrentOut(Schema):
    subscription: SubscriptionOut | None
    plans: list[SubscriptionPlanOut] = Field(description="The plans that are offered.")


class ChoiceIn(RequestBody):
    """The plan to be on from today."""

    plan: str = Field(max_length=40, description="ID of an offered plan.")


class SubscriptionPreviewOut(Schema):
    """What choosing a plan does today. Amounts are exact decimals in USD."""

    plan: SubscriptionPlanOut
    from_day: dt.date
    days: int = Field(description="Days of this month that are charged.")
    of_days: int
    charge: str = Field(description="Paid from the balance; a negative amount goes back to it.")
    included_added: str
    included_removed: str
    units: list[UnitsMoreOut]
    missing: str = Field(description="What the balance lacks for it.")
    renews_on: dt.date


class SubscriptionPlanIn(RequestBody):
    """A new plan."""

    name: str = Field(min_length=1, max_length=60)
    description: str = Field("", max_length=DESCRIPTION_MAX)
    price: str = Field(max_length=40, description="Exact decimal, per month.")
    included: str = Field(max_length=40, description="Included usage, as an exact decimal.")
    units: list[UnitsIn] = Field(default_factory=list, max_length=TERMS_MAX)
    multipliers: list[MultiplierIn] = Field(
        default_factory=list,
        max_length=MULTIPLIERS_MAX,
        description="In their order: the first that fits a model applies.",
    )
    overage: Literal["balance", "refuse"] = "balance"


class WrittenPlanOut(SubscriptionPlanOut):
    state: Literal["draft", "offered", "archived"]
    subscribers: int
    created_at: dt.datetime


class WrittenPlanPage(Schema):
    items: list[WrittenPlanOut]
    next: str | None


@router.get("/subscription", response=CurrentOut, summary="Show the subscription")
def show_subscription(actor: Actor) -> CurrentOut:
    """The organisation's subscription, and the plans that it can choose."""
    organisation = access_wallet(actor, "balance.read")
    current = subscriptions.subscription_of(organisation)
    return CurrentOut(
        subscription=SubscriptionOut(**_subscription(current)) if current else None,
        plans=[SubscriptionPlanOut(**_plan(plan)) for plan in offered_plans(actor)],
    )


@router.post(
    "/subscription/preview", response=SubscriptionPreviewOut, summary="Preview a change of plan"
)
def preview_subscription(actor: Actor, body: ChoiceIn) -> SubscriptionPreviewOut:
    """Nothing is changed. Days are those of the organisation's invoices, today among them."""
    organisation = access_wallet(actor, "wallet.write")
    preview = subscriptions.preview_plan(organisation, _require_offered_plan(actor, body.plan))
    return SubscriptionPreviewOut(
        plan=SubscriptionPlanOut(**_plan(preview.plan)),
        from_day=preview.day,
        days=preview.days,
        of_days=preview.of_days,
        charge=format_usd(preview.change.charge_nano),
        included_added=format_usd(preview.change.grant_nano),
        included_removed=format_usd(preview.change.taken_nano),
        units=[
            UnitsMoreOut(meter=meter, models=list(models), units=more)
            for (meter, models), more in preview.change.units
        ],
        missing=format_usd(preview.missing_nano),
        renews_on=preview.renews_on,
    )


@router.put(
    "/subscription",
    response=SubscriptionOut,
    summary="Choose a plan",
    openapi_extra=also_answers(409),
)
def choose_plan(request: HttpRequest, actor: Actor, body: ChoiceIn) -> HttpResponse:
    """Subscribes, or changes the plan from today on, pro rata by the day. Supports
    `Idempotency-Key`."""

    def choose(organisation: Organisation) -> Subscription:
        plan = _require_offered_plan(actor, body.plan)
        return subscriptions.choose_plan(actor, organisation, plan)

    return _answer_request(request, actor, choose)


@router.post(
    "/subscription/cancel",
    response=SubscriptionOut,
    summary="Cancel the subscription",
    openapi_extra=also_answers(409, 422),
)
def cancel_subscription(request: HttpRequest, actor: Actor) -> HttpResponse:
    """It ends with the month that is paid. Supports `Idempotency-Key`."""
    return _answer_request(
        request, actor, lambda owner: subscriptions.cancel_subscription(actor, owner)
    )


@router.post(
    "/subscription/resume",
    response=SubscriptionOut,
    summary="Resume the subscription",
    openapi_extra=also_answers(409, 422),
)
def resume_subscription(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Takes a cancellation back before the month is over. Supports `Idempotency-Key`."""
    return _answer_request(
        request, actor, lambda owner: subscriptions.resume_subscription(actor, owner)
    )


@operator_router.get(
    "/subscription-plans", response=WrittenPlanPage, summary="List subscription plans"
)
def list_subscription_plans(
    actor: Actor, query: Query[pagination.NamedPageQuery]
) -> WrittenPlanPage:
    """Every plan, newest first."""
    rows = visible_subscription_plans(actor)
    page = pagination.page_by_id(query.filter_by_name(rows), query.limit, query.cursor)
    return WrittenPlanPage(
        items=[WrittenPlanOut(**_serialize_plan(row)) for row in page.items], next=page.next
    )


@operator_router.get(
    "/subscription-plans/{id}", response=WrittenPlanOut, summary="Show a subscription plan"
)
def show_subscription_plan(actor: Actor, id: str) -> WrittenPlanOut:
    """One plan, offered or not."""
    return WrittenPlanOut(**_serialize_plan(access_subscription_plan(actor, id)))


@operator_router.post(
    "/subscription-plans",
    response={201: WrittenPlanOut},
    summary="Create a subscription plan",
    openapi_extra=also_answers(409),
)
@requires("credits.write")
def create_subscription_plan(
    request: HttpRequest, actor: Actor, body: SubscriptionPlanIn
) -> HttpResponse:
    """A draft, which no organisation sees until it is offered. Supports `Idempotency-Key`."""

    def act() -> Answer:
        units = tuple(unit_term(one.meter, one.models, one.units) for one in body.units)
        terms = Terms(amount_of(body.price), amount_of(body.included), units)
        plan = subscription_plans.write_plan(
            actor,
            body.name,
            terms,
            multipliers=[read_multiplier(one.pattern, one.multiplier) for one in body.multipliers],
            description=body.description,
            overage=body.overage,
        )
        return Answer(201, _serialize_plan(access_subscription_plan(actor, id_text(plan.id))))

    return answer_idempotently(request, actor, act)


@operator_router.post(
    "/subscription-plans/{id}/offer",
    response=WrittenPlanOut,
    summary="Offer a subscription plan",
    openapi_extra=also_answers(409),
)
@requires("credits.write")
def offer_subscription_plan(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Organisations can subscribe from now on. One that includes far more than it costs is offered
    by another operator than the one who created it. Supports `Idempotency-Key`."""
    return _answer_change(request, actor, id, subscription_plans.offer_plan)


@operator_router.post(
    "/subscription-plans/{id}/archive",
    response=WrittenPlanOut,
    summary="Archive a subscription plan",
    openapi_extra=also_answers(409),
)
@requires("credits.write")
def archive_subscription_plan(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """It is offered no more; present subscriptions go on. Supports `Idempotency-Key`."""
    return _answer_change(request, actor, id, subscription_plans.archive_plan)


def _answer_change(
    request: HttpRequest,
    actor: Actor,
    id: str,
    change: Callable[[Actor, SubscriptionPlan], SubscriptionPlan],
) -> HttpResponse:
    plan = access_subscription_plan(actor, id)

    def act() -> Answer:
        change(actor, plan)
        return Answer(200, _serialize_plan(access_subscription_plan(actor, id)))

    return answer_idempotently(request, actor, act)


def _answer_request(
    request: HttpRequest, actor: Actor, act: Callable[[Organisation], Subscription]
) -> HttpResponse:
    organisation = access_wallet(actor, "wallet.write")
    return answer_idempotently(
        request, actor, lambda: Answer(200, _subscription(act(organisation)))
    )


def _require_offered_plan(actor: Actor, id: str) -> SubscriptionPlan:
    plan = offered_plan(actor, id)
    if plan is None:
        raise SubscriptionRefused("plan", gettext("This plan is not offered."))
    return plan


def _plan(plan: SubscriptionPlan) -> dict[str, Any]:
    return {
        "id": id_text(plan.id),
        "name": plan.name,
        "description": plan.description,
        "price": format_usd(plan.price_nano),
        "included": format_usd(plan.included_nano),
        "units": plan.units,
        "multipliers": [
            {"pattern": one.pattern, "multiplier": format_multiplier(one.ppm)}
            for one in subscription_multipliers(plan)
        ],
        "overage": str(plan.overage),
    }


def _serialize_plan(plan: SubscriptionPlan) -> dict[str, Any]:
    """Return a plan as `visible_subscription_plans` returns it."""
    return {
        **_plan(plan),
        "state": str(plan.state),
        "subscribers": plan.subscribers,  # type: ignore[attr-defined]
        "created_at": clock.rfc3339(plan.created_at),
    }


def _subscription(current: Subscription) -> dict[str, Any]:
    included = subscriptions.included_in(current)
    after = month_after(current.month).isoformat()
    living = current.ended_at is None
    cancelled = current.cancelled_at is not None
    zone = ZoneInfo(current.zone)
    ended_on = current.ended_at.astimezone(zone).date().isoformat() if current.ended_at else None
    return {
        "plan": id_text(current.plan.id),
        "terms": _plan(current.plan),
        "state": str(current.state),
        "timezone": current.zone,
        "month": f"{current.month:%Y-%m}",
        "renews_on": after if living and not cancelled else None,
        "ends_on": after if living and cancelled else ended_on,
        "included_granted": format_usd(included.granted_nano),
        "included_left": format_usd(included.left_nano),
        "units": [
            {
                "meter": row.meter,
                "models": row.patterns,
                "units": row.included,
                "used": row.used,
                "held": row.held,
            }
            for row in subscriptions.units_of(current)
        ],
    }
