"""The management API for operators of the results of shadow traffic."""

import datetime as dt

from django.http import HttpRequest
from ninja import Query, Router
from pydantic import Field

from accounts.access import access, actors, api_auth
from billing.currency.answers import answer_of
from billing.currency.money import format_usd
from gateway.access import visible_shadow_answers
from gateway.routing.shadow_answers import KEPT, shadow_figures, spent_by_day
from lib import clock
from lib.api import pagination
from lib.api.openapi import Schema
from lib.numbers.whole_numbers import TypedWhole

router = Router(tags=["Channels"], auth=api_auth.installation_auth)

_HOURS_MAX = int(KEPT.total_seconds()) // 3600


class Since(pagination.PageQuery):
    """The period of the results."""

    hours: TypedWhole = Field(24, ge=1, le=_HOURS_MAX, description="How many hours back.")


class Days(pagination.PageQuery):
    """The days (UTC) of the results, both included; `until` defaults to today."""

    days: TypedWhole = Field(31, ge=1, le=400, description="How many days back.")
    until: dt.date | None = None


class ShadowSpendOut(Schema):
    day: dt.date
    rule: str
    cost: str


class ShadowSpendPage(Schema):
    items: list[ShadowSpendOut]
    total: str
    next: str | None


class ShadowFiguresOut(Schema):
    """One rule, model and pair of channels. Times are medians in milliseconds, tokens are means."""

    rule: str
    model: str
    main_channel: str
    channel: str
    upstream_model: str
    requests: int
    main_ok: int = Field(description="Answered by the main channel.")
    ok: int = Field(description="Answered by the shadow.")
    main_ttft_ms: int | None
    ttft_ms: int | None
    main_total_ms: int
    total_ms: int
    main_tokens: int
    tokens: int
    compared: int = Field(description="Answered by both.")
    likeness: int | None = Field(description="Mean share of text in common, in percent.")
    same_finish: int
    structured: int = Field(description="Both answers are JSON.")
    same_structure: int
    main_cost: str
    cost: str


class ShadowFiguresPage(Schema):
    items: list[ShadowFiguresOut]
    next: str | None


class ShadowAnswerOut(Schema):
    id: str
    at: dt.datetime
    rule: str
    request_id: str
    model: str
    main_channel: str
    main_status: int
    main_ttft_ms: int | None
    main_total_ms: int
    main_tokens: int
    main_finish: str
    main_cost: str | None
    channel: str
    upstream_model: str
    fault: str = Field(description="Empty if the shadow answered.")
    ttft_ms: int | None
    total_ms: int
    tokens: int
    finish: str
    cost: str
    likeness: int | None
    same_structure: bool | None = Field(description="Null unless both answers are JSON.")


class ShadowAnswerPage(Schema):
    items: list[ShadowAnswerOut]
    next: str | None


@router.get("/shadow-traffic", response=ShadowFiguresPage, summary="Show shadow traffic")
def show_shadow_traffic(request: HttpRequest, query: Query[Since]) -> ShadowFiguresPage:
    """How the answers of shadow channels compare with those the clients got."""
    access.require(actors.actor_of(request), "channels.read")
    page = pagination.page_by_position(shadow_figures(query.hours), query.limit, query.cursor)
    items = [answer_of(ShadowFiguresOut, row) for row in page.items]
    return ShadowFiguresPage(items=items, next=page.next)


@router.get("/shadow-spend", response=ShadowSpendPage, summary="Show the cost of shadow traffic")
def show_shadow_spend(request: HttpRequest, query: Query[Days]) -> ShadowSpendPage:
    """What the shadows of each rule have cost on each day (UTC)."""
    access.require(actors.actor_of(request), "channels.read")
    spent = spent_by_day(query.until or clock.now().date(), query.days)
    items = [ShadowSpendOut(day=day, rule=rule, cost=format_usd(nano)) for day, rule, nano in spent]
    total = format_usd(sum(nano for _, _, nano in spent))
    page = pagination.page_by_position(items, query.limit, query.cursor)
    return ShadowSpendPage(items=page.items, total=total, next=page.next)


@router.get("/shadow-answers", response=ShadowAnswerPage, summary="List shadow answers")
def list_shadow_answers(
    request: HttpRequest, query: Query[pagination.PageQuery]
) -> ShadowAnswerPage:
    """Each request that was sent to a shadow channel as well, newest first."""
    rows = visible_shadow_answers(actors.actor_of(request))
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    items = [answer_of(ShadowAnswerOut, row) for row in page.items]
    return ShadowAnswerPage(items=items, next=page.next)
