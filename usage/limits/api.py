"""The management API of budgets, and of the settings in effect for a team, a member or a key. Pages
call the same functions."""

import datetime as dt
from collections.abc import Callable
from typing import Annotated, Literal

from django.http import Http404
from ninja import Query, Status
from pydantic import AfterValidator, Field

from accounts.access import access, actors
from accounts.access.actors import Actor, organisation_of
from accounts.access.operations import Router, requires
from accounts.limits.end_users import END_USER_LENGTH, normal_end_user
from accounts.members.access import visible_members
from accounts.models import Membership
from billing.currency.answers import answer_of
from billing.currency.money import MoneyInvalid, format_usd, parse_usd
from billing.limits import budget_alerts, budget_increases, budgets
from billing.limits.budget_increases import INCREASE_REASON_MAX
from billing.limits.budget_rules import ALERT_PERCENTS, ALERTS_MAX, Period, Scope
from billing.limits.budget_subjects import subject_names, subjects_by_budget
from billing.limits.budgets import BudgetUsage
from billing.models import Budget, BudgetAlert, BudgetRaise
from lib.api import pagination
from lib.api.instants import Instant
from lib.api.openapi import RequestBody, Schema
from lib.ids import id_text
from lib.numbers.whole_numbers import Whole
from lib.tables.keyset import Order
from usage.limits import budget_simulation
from usage.limits.effective_limits import Setting, effective_settings
from usage.limits.end_users import end_user_rows, is_end_user_of

router = Router(tags=["Budgets"])


def _amount(text: str) -> str:
    try:
        if parse_usd(text) < 0:
            raise ValueError("expected 0 or more")
    except MoneyInvalid as error:
        raise ValueError(f"expected {error.expected}") from error
    return text


Amount = Annotated[str, AfterValidator(_amount)]


Action = Literal["block", "warn", "slow"]
ACTION_HELP = (
    "At the limit: `block` rejects requests, `warn` only sends alerts, `slow` allows one "
    "request at a time."
)
Percents = Annotated[
    list[Annotated[int, Field(ge=1, le=100, strict=True)]], Field(max_length=ALERTS_MAX)
]


class BudgetIn(RequestBody):
    """A new budget. It starts with what was already used in its period."""

    scope: Scope
    subject: str = Field(
        "",
        max_length=200,
        description="A team's slug, a key's ID, a person's email address, a model's name or "
        "pattern, or a label (1 to 100 visible characters, no space at the start or end); empty "
        "for the organisation and for each end user.",
    )
    amount: Amount = Field(description="Decimal string in USD.")
    period: Period = Field(
        description="`session` limits each session, for an organisation, a team, a person or a "
        "key. It rejects requests, and sends no alerts; what names no session does not fall under "
        "it. For each end user, the period must be one that ends."
    )
    anchor: Whole | None = Field(
        None,
        description="When the period starts: minute of the hour, hour of the day, day of the "
        "week (0 = Monday) or day of the month. Default: on the hour, at midnight, on Monday or "
        "on the 1st.",
    )
    timezone: str = Field("UTC", description="IANA name of the time zone in which periods start.")
    enabled: bool = True
    action: Action = Field("block", description=ACTION_HELP)
    alert_percents: Percents = Field(
        list(ALERT_PERCENTS), description="Percentages at which people are notified."
    )
    alert_forecast: bool = Field(False, description="Notify when forecast to exceed the limit.")


class BudgetChange(RequestBody):
    """Changes to a budget. Omitted fields stay as they are. Another period needs another budget."""

    amount: Amount | None = None
    enabled: bool | None = None
    action: Action | None = Field(None, description=ACTION_HELP)
    alert_percents: Percents | None = None
    alert_forecast: bool | None = None


class BudgetOut(Schema):
    """A budget and its current window. For a budget per session, or of each end user, this is the
    window of the session or end user that has used the most."""

    id: str
    scope: Scope
    subject: str = Field(description="As it was given when the budget was created.")
    subject_name: str = Field(description="What people call it.")
    amount: str
    period: Period
    anchor: int
    timezone: str
    enabled: bool
    action: Action
    alert_percents: list[int]
    alert_forecast: bool
    policy: str | None = Field(
        description="ID of the policy that it comes from, and changes with; null for others."
    )
    policy_name: str
    limit: str = Field(description="The amount, including an active increase.")
    raised_until: dt.datetime | None = Field(description="When the increase ends automatically.")
    spent: str
    held: str = Field(description="Held for running requests.")
    left: str
    starts_at: dt.datetime
    resets_at: dt.datetime | None = Field(description="Null for a budget without a period.")
    forecast_at: dt.datetime | None = Field(
        description="When it will run out at the current rate, if before it resets."
    )


class EndUserOut(Schema):
    """What an end user has under a budget of each end user."""

    end_user: str
    own_amount: str | None = Field(description="Null: the budget's amount applies.")
    limit: str = Field(description="The amount that applies, including an active increase.")
    spent: str
    held: str = Field(description="Held for running requests.")
    left: str
    resets_at: dt.datetime | None = Field(description="Null for a budget without a period.")


class EndUserPage(Schema):
    items: list[EndUserOut]
    next: str | None


class EndUserAmount(RequestBody):
    """The amount of one end user in each period."""

    end_user: Annotated[str, AfterValidator(normal_end_user)] = Field(
        min_length=1,
        max_length=END_USER_LENGTH,
        description="The name that the application sends. Addresses are kept in lower case.",
    )
    amount: Amount | None = Field(
        description="Decimal string in USD; null: the budget's amount applies again."
    )


class BudgetPage(Schema):
    items: list[BudgetOut]
    next: str | None


class AlertOut(Schema):
    kind: str = Field(description="`reached`, `forecast` or `test`.")
    percent: int | None
    spent: str
    limit: str
    period_began: dt.datetime
    told_at: dt.datetime


class AlertPage(Schema):
    items: list[AlertOut]
    next: str | None


class RaiseIn(RequestBody):
    """How much more of a budget is requested."""

    amount: Amount = Field(
        description=("Decimal string in USD, in addition to the budget's amount.")
    )
    until: Instant = Field(description="When it ends automatically.")
    reason: str = Field(min_length=1, max_length=INCREASE_REASON_MAX)


class RaiseAnswer(RequestBody):
    """The reply to the person who made the request."""

    answer: str = Field("", max_length=INCREASE_REASON_MAX)


class RaiseOut(Schema):
    id: str
    budget: str
    amount: str
    until: dt.datetime
    reason: str
    state: str = Field(description="`waiting`, `approved`, `denied` or `ended`.")
    asked_by: str
    asked_at: dt.datetime
    decided_by: str | None
    decided_at: dt.datetime | None
    answer: str


class RaisePage(Schema):
    items: list[RaiseOut]
    next: str | None


class RaiseQuery(pagination.PageQuery):
    state: Literal["waiting", "approved", "denied", "ended"] | None = None


class BudgetQuery(pagination.PageQuery):
    scope: Scope | None = None


@router.get("/budgets", response=BudgetPage, summary="List budgets")
def list_budgets(actor: Actor, query: Query[BudgetQuery]) -> BudgetPage:
    """The budgets you have access to, oldest first, with their current figures."""
    rows = budgets.visible_budgets(actor)
    if query.scope is not None:
        rows = rows.filter(scope=query.scope)
    page = pagination.page_by_number(rows, query.limit, query.cursor)
    return BudgetPage(items=_serialize_budgets(budgets.current_usage(page.items)), next=page.next)


@router.post("/budgets", response={201: BudgetOut}, summary="Create a budget")
@requires("budgets.write")
def create_budget(actor: Actor, body: BudgetIn) -> Status[BudgetOut]:
    """Takes effect at once in every process, including for running requests."""
    budget = budget_simulation.create_budget(
        actor,
        organisation_of(actor),
        scope=body.scope,
        subject=budgets.find_subject(actor, body.scope, body.subject),
        amount_nano=parse_usd(body.amount),
        period=body.period,
        anchor=body.anchor,
        timezone=body.timezone,
        **{name: getattr(body, name) for name in budgets.TERMS},
    )
    return Status(201, _serialize_budget(budget))


@router.get("/budgets/{id}/end-users", response=EndUserPage, summary="List end users of a budget")
def list_end_users(actor: Actor, id: str, query: Query[pagination.PageQuery]) -> EndUserPage:
    """Those who used a budget of each end user in the present period, or have an amount of their
    own, by name."""
    budget = budgets.access_budget(actor, id)
    page = _page_of_end_users(budget, query.limit, query.cursor)
    return EndUserPage(items=[_serialize_end_user(usage) for usage in page.items], next=page.next)


def _page_of_end_users(
    budget: Budget, limit: int, cursor: str | None
) -> pagination.Page[BudgetUsage]:
    """Return a page of them by name. The cursor is the name of the last. Raises BadCursor."""
    if cursor is not None and not is_end_user_of(budget, cursor):
        raise pagination.BadCursor
    boundary = None if cursor is None else (cursor,)
    rows = end_user_rows(budget).fetch((Order("name"),), boundary, backwards=False, limit=limit + 1)
    items = [row.usage for row in rows[:limit]]
    return pagination.Page(items, items[-1].end_user if len(rows) > limit else None)


@router.put("/budgets/{id}/end-users", response=EndUserOut, summary="Set the amount of an end user")
def set_end_user_amount(actor: Actor, id: str, body: EndUserAmount) -> EndUserOut:
    """Gives an end user an amount of their own in each period, or takes it away."""
    budget = budgets.access_budget(actor, id)
    access.require(actor, "budgets.write")
    amount_nano = None if body.amount is None else parse_usd(body.amount)
    changed = budgets.set_own_amount(actor, budget, body.end_user, amount_nano)
    return _serialize_end_user(budgets.usage_of_end_user(changed, body.end_user))


@router.get("/budgets/{id}", response=BudgetOut, summary="Show a budget")
def show_budget(actor: Actor, id: str) -> BudgetOut:
    """One budget you have access to, with its current figures."""
    return _serialize_budget(budgets.access_budget(actor, id))


@router.patch("/budgets/{id}", response=BudgetOut, summary="Change a budget")
def change_budget(actor: Actor, id: str, body: BudgetChange) -> BudgetOut:
    """If it is below what was already spent, further requests are rejected until the period
    ends."""
    budget = budgets.access_budget(actor, id)
    access.require(actor, "budgets.write")
    amount_nano = None if body.amount is None else parse_usd(body.amount)
    new_terms = {name: getattr(body, name) for name in budgets.TERMS}
    terms = {name: value for name, value in new_terms.items() if value is not None}
    return _serialize_budget(
        budget_simulation.change_budget(actor, budget, amount_nano=amount_nano, **terms)
    )


@router.delete("/budgets/{id}", response={204: None}, summary="Delete a budget")
def remove_budget(actor: Actor, id: str) -> Status[None]:
    """Takes effect at once. Past charges are not affected. It can be restored."""
    budget = budgets.access_budget(actor, id)
    access.require(actor, "budgets.write")
    budgets.remove_budget(actor, budget)
    return Status(204, None)


@router.post("/budgets/{id}/restore", response=BudgetOut, summary="Restore a budget")
@requires("budgets.write")
def restore_budget(actor: Actor, id: str) -> BudgetOut:
    """Restores a deleted budget. It applies at once, and includes what was already spent in its
    period."""
    return _serialize_budget(budget_simulation.restore_budget(actor, id))


@router.get("/budgets/{id}/alerts", response=AlertPage, summary="List a budget's alerts")
def list_alerts(actor: Actor, id: str, query: Query[pagination.PageQuery]) -> AlertPage:
    """Recent alerts, newest first."""
    budget = budgets.access_budget(actor, id)
    alerts = budget_alerts.alerts_of(budget)
    page = pagination.page_by_key(alerts, query.limit, query.cursor, lambda alert: str(alert.pk))
    return AlertPage(items=[_alert(alert) for alert in page.items], next=page.next)


@router.post("/budgets/{id}/test-alert", response={202: AlertOut}, summary="Test a budget's alerts")
def test_alert(actor: Actor, id: str) -> Status[AlertOut]:
    """Notifies everyone who would be notified, by email and webhook."""
    budget = budgets.access_budget(actor, id)
    access.require(actor, "budgets.write")
    return Status(202, _alert(budget_alerts.send_test(actor, budget)))


@router.get("/budget-requests", response=RaisePage, summary="List increase requests")
def list_raises(actor: Actor, query: Query[RaiseQuery]) -> RaisePage:
    """Requests you decide on, else your own, newest first."""
    rows = budget_increases.visible_raises(actor)
    if query.state is not None:
        rows = rows.filter(state=query.state)
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    return RaisePage(
        items=[
            RaiseOut(**budget_increases.serialize_raise(budget_raise))
            for budget_raise in page.items
        ],
        next=page.next,
    )


@router.get("/budget-requests/{id}", response=RaiseOut, summary="Show an increase request")
def show_raise(actor: Actor, id: str) -> RaiseOut:
    """One request that you decide on, or your own."""
    return RaiseOut(**budget_increases.serialize_raise(budget_increases.access_raise(actor, id)))


@router.post(
    "/budgets/{id}/requests", response={201: RaiseOut}, summary="Request a budget increase"
)
def ask_for_more(actor: Actor, id: str, body: RaiseIn) -> Status[RaiseOut]:
    """Request a temporarily higher budget on behalf of the person the key belongs to."""
    budget = budget_increases.askable_budget(actor, id)
    budget_raise = budget_increases.ask_for_more(
        actor, budget, amount_nano=parse_usd(body.amount), until=body.until, reason=body.reason
    )
    return Status(201, RaiseOut(**budget_increases.serialize_raise(budget_raise)))


@router.post(
    "/budget-requests/{id}/approve", response=RaiseOut, summary="Approve an increase request"
)
@requires("budgets.write")
@requires("budgets.write")
def approve_raise(actor: Actor, id: str, body: RaiseAnswer) -> RaiseOut:
    """The limit is higher from now on and returns to its old value automatically."""
    return _decide(
        actor,
        id,
        lambda actor, budget_raise: budget_increases.approve(actor, budget_raise, body.answer),
    )


@router.post("/budget-requests/{id}/deny", response=RaiseOut, summary="Reject an increase request")
@requires("budgets.write")
@requires("budgets.write")
def deny_raise(actor: Actor, id: str, body: RaiseAnswer) -> RaiseOut:
    """The budget stays unchanged. A reply is required."""
    return _decide(
        actor,
        id,
        lambda actor, budget_raise: budget_increases.deny(actor, budget_raise, body.answer),
    )


@router.post("/budget-requests/{id}/end", response=RaiseOut, summary="End an increase")
@requires("budgets.write")
@requires("budgets.write")
def end_raise(actor: Actor, id: str) -> RaiseOut:
    """End an increase early."""
    return _decide(actor, id, budget_increases.end_raise)


def _decide(actor: Actor, id: str, decide: Callable[[Actor, BudgetRaise], BudgetRaise]) -> RaiseOut:
    decide(actor, budget_increases.raise_to_decide(actor, id))
    return RaiseOut(**budget_increases.serialize_raise(budget_increases.access_raise(actor, id)))


def _alert(alert: BudgetAlert) -> AlertOut:
    return answer_of(AlertOut, alert, period_began=alert.starts_at)


def _serialize_budget(budget: Budget) -> BudgetOut:
    return _serialize_budgets(budgets.current_usage([budget]))[0]


def _serialize_budgets(usages: list[BudgetUsage]) -> list[BudgetOut]:
    rows = [row.budget for row in usages]
    names, subjects = subject_names(rows), subjects_by_budget(rows)
    return [
        answer_of(
            BudgetOut,
            row.budget,
            subject=subjects[row.budget.id],
            subject_name=names[row.budget.id],
            alert_percents=sorted(row.budget.alert_percents),
            policy=id_text(row.budget.policy_id) if row.budget.policy_id else None,
            limit=format_usd(row.limit_nano),
            raised_until=(
                row.budget.raised_until if row.limit_nano > row.budget.amount_nano else None
            ),
            spent=format_usd(row.spent_nano),
            held=format_usd(row.held_nano),
            left=format_usd(row.left_nano),
            starts_at=row.span.start_at,
            resets_at=row.resets_at,
            forecast_at=row.forecast_at,
        )
        for row in usages
    ]


def _serialize_end_user(usage: BudgetUsage) -> EndUserOut:
    own_nano = usage.budget.own_amounts.get(usage.end_user)
    return EndUserOut(
        end_user=usage.end_user,
        own_amount=None if own_nano is None else format_usd(own_nano),
        limit=format_usd(usage.limit_nano),
        spent=format_usd(usage.spent_nano),
        held=format_usd(usage.held_nano),
        left=format_usd(usage.left_nano),
        resets_at=usage.resets_at,
    )


effective_router = Router(tags=["Organisation"])


class Subject(pagination.PageQuery):
    """A team, a member or a key; without any, the organisation itself."""

    team: str | None = Field(None, max_length=60, description="Slug of a team.")
    member: str | None = Field(None, max_length=254, description="Email address of a member.")
    key: str | None = Field(None, max_length=60, description="ID of a key.")


class SettingOut(Schema):
    setting: str
    value: str
    level: str = Field(description="Where it is set; empty if it is not set.")
    binds: bool = Field(description="False when another level has a lower limit.")


class SettingPage(Schema):
    items: list[SettingOut]
    next: str | None


@effective_router.get(
    "/effective-settings", response=SettingPage, summary="List effective settings"
)
@requires("teams.read")
def list_effective_settings(actor: Actor, query: Query[Subject]) -> SettingPage:
    """Every limit, budget and setting that applies, and the level each comes from."""
    rows = effective_settings(
        actor,
        team=access.access_any_team(actor, query.team) if query.team else None,
        member=_member(actor, query.member) if query.member else None,
        key=access.access_key(actor, query.key) if query.key else None,
    )
    page = pagination.page_by_position(rows, query.limit, query.cursor)
    return SettingPage(items=[_serialize_setting(row) for row in page.items], next=page.next)


def _member(actor: actors.Actor, email: str) -> Membership:
    """Return a member that the actor may see. Raises Http404."""
    member = visible_members(actor).filter(user__email__iexact=email).first()
    if member is None:
        raise Http404
    return member


def _serialize_setting(row: Setting) -> SettingOut:
    value = format_usd(row.value) if row.kind == "money" else str(row.value)
    return SettingOut(setting=str(row.title), value=value, level=str(row.level), binds=row.binds)
