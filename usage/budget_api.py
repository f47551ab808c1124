"""The management API of budgets. Pages call the same functions."""

import datetime as dt
from typing import Annotated, cast

from django.http import Http404, HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import AfterValidator, ConfigDict, Field

from accounts import access
from billing import budgets
from billing.budgets import Standing
from billing.models import Budget
from billing.rules.budget import Period, Scope
from billing.rules.money import MoneyInvalid, format_usd, parse_usd
from lib import pagination
from usage import budgeting

router = Router(tags=["Budgets"])


def _amount(text: str) -> str:
    try:
        if parse_usd(text) < 0:
            raise ValueError("expected 0 or more")
    except MoneyInvalid as error:
        raise ValueError(f"expected {error.expected}") from error
    return text


Amount = Annotated[str, AfterValidator(_amount)]


class BudgetIn(Schema):
    """A budget to be made. It begins with what was used in its period already."""

    model_config = ConfigDict(extra="forbid")

    scope: Scope
    subject: str = Field(
        "",
        max_length=200,
        description="A team's slug, a key's id, a person's e-mail address, a model's name or "
        "pattern, or a label; empty for the organisation.",
    )
    amount: Amount = Field(description="USD as a decimal string.")
    period: Period
    anchor: int | None = Field(
        None,
        description="Where the period begins: minute of the hour, hour of the day, day of the week "
        "(0 = Monday) or day of the month; by default the natural beginning.",
    )
    timezone: str = Field("UTC", description="IANA name of the zone in which periods begin.")
    enabled: bool = True


class BudgetChange(Schema):
    """What to change; what is left out stays. Another period is another budget."""

    model_config = ConfigDict(extra="forbid")

    amount: Amount | None = None
    enabled: bool | None = None


class BudgetOut(Schema):
    """A budget, and what stands in its present window."""

    id: str
    scope: Scope
    subject: str = Field(description="What it is for, by name.")
    amount: str
    period: Period
    anchor: int
    timezone: str
    enabled: bool
    spent: str
    held: str = Field(description="Set aside for requests that run now.")
    left: str
    starts_at: dt.datetime
    resets_at: dt.datetime | None = Field(description="Null for a budget without a period.")


class BudgetPage(Schema):
    items: list[BudgetOut]
    next: str | None


class BudgetQuery(pagination.PageQuery):
    scope: Scope | None = None


@router.get("/budgets", response=BudgetPage, summary="List budgets")
def list_budgets(request: HttpRequest, query: Query[BudgetQuery]) -> BudgetPage:
    """The budgets that you may see, oldest first, as of now."""
    rows = budgets.visible_budgets(access.actor_of(request))
    if query.scope is not None:
        rows = rows.filter(scope=query.scope)
    if query.cursor is not None and not query.cursor.isdecimal():
        raise pagination.BadCursor(query.cursor)
    after = int(query.cursor or 0)
    found = list(rows.filter(id__gt=after)[: query.limit + 1])
    more = len(found) > query.limit
    shown = _shown(budgets.standing_of(found[: query.limit]))
    return BudgetPage(items=shown, next=shown[-1].id if more else None)


@router.post("/budgets", response={201: BudgetOut}, summary="Create a budget")
def create_budget(request: HttpRequest, body: BudgetIn) -> Status[BudgetOut]:
    """It holds from now on, in every process, for the requests that run as well."""
    actor = access.actor_of(request)
    access.require(actor, "budgets.write")
    if actor.organisation is None:
        raise Http404
    budget = budgeting.create_budget(
        actor,
        actor.organisation,
        scope=body.scope,
        subject=budgets.find_subject(actor, body.scope, body.subject),
        amount_nano=parse_usd(body.amount),
        period=body.period,
        anchor=body.anchor,
        timezone=body.timezone,
        enabled=body.enabled,
    )
    return Status(201, _one(budget))


@router.get("/budgets/{id}", response=BudgetOut, summary="Show a budget")
def show_budget(request: HttpRequest, id: str) -> BudgetOut:
    """One budget that you may see, as of now."""
    return _one(budgets.access_budget(access.actor_of(request), id))


@router.patch("/budgets/{id}", response=BudgetOut, summary="Change a budget")
def change_budget(request: HttpRequest, id: str, body: BudgetChange) -> BudgetOut:
    """Below what stands already nothing more is let in until the period ends."""
    actor = access.actor_of(request)
    budget = budgets.access_budget(actor, id)
    access.require(actor, "budgets.write")
    amount_nano = None if body.amount is None else parse_usd(body.amount)
    return _one(
        budgeting.change_budget(actor, budget, amount_nano=amount_nano, enabled=body.enabled)
    )


@router.delete("/budgets/{id}", response={204: None}, summary="Remove a budget")
def remove_budget(request: HttpRequest, id: str) -> Status[None]:
    """End it at once. What was charged stays charged."""
    actor = access.actor_of(request)
    budget = budgets.access_budget(actor, id)
    access.require(actor, "budgets.write")
    budgets.remove_budget(actor, budget)
    return Status(204, None)


def _one(budget: Budget) -> BudgetOut:
    return _shown(budgets.standing_of([budget]))[0]


def _shown(standing: list[Standing]) -> list[BudgetOut]:
    names = budgets.subject_names([one.budget for one in standing])
    return [
        BudgetOut(
            id=str(one.budget.id),
            scope=cast(Scope, one.budget.scope),
            subject=names[one.budget.id],
            amount=format_usd(one.budget.amount_nano),
            period=cast(Period, one.budget.period),
            anchor=one.budget.anchor,
            timezone=one.budget.timezone,
            enabled=one.budget.enabled,
            spent=format_usd(one.spent_nano),
            held=format_usd(one.held_nano),
            left=format_usd(one.left_nano),
            starts_at=one.span.start_at,
            resets_at=one.resets_at,
        )
        for one in standing
    ]
