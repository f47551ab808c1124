"""The management API for operators of the rules and aliases of models, which apply to all channels,
and of the results of shadow traffic. Pages call the same functions."""

import datetime as dt
from typing import Annotated, Final, cast

from django.utils.translation import gettext
from ninja import Query, Status
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from billing.currency.answers import answer_of
from billing.currency.money import format_usd
from billing.limits.charge_rule_schemas import ChargeRuleIn, ChargeRuleOut
from gateway.access import (
    access_alias,
    access_rule,
    visible_aliases,
    visible_rules,
    visible_shadow_answers,
)
from gateway.aliases.aliases import remove_alias, save_alias
from gateway.channel_order.tie_breaking import Pick
from gateway.channels import bounds as bounds
from gateway.models import ModelAlias, ModelRule, ShadowAnswer
from gateway.routing.model_rule_bounds import FALLBACKS_MAX, Cause
from gateway.routing.model_rules import RuleFields, facts_of, remove_rule, save_rule
from gateway.routing.shadow_answers import KEPT, shadow_figures, spent_by_day
from gateway.routing.shadow_rules import NAME_MAX
from lib import clock
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema
from lib.numbers.whole_numbers import TypedWhole, Whole
from lib.refusal import Refused

router = Router(tags=["Channels"], auth=api_auth.installation_auth)

Name = Annotated[str, Field(max_length=bounds.MODEL_MAX, pattern=bounds.MODEL_PATTERN)]
_CAUSES: Final = (
    "`error`: no channel can serve the request, or every channel that was tried failed. "
    "`context_length`: the request is longer than the model's context. `content_policy`: the "
    "provider blocks the content of the request. `budget`: a budget does not cover the request. "
    "Default: all but `budget`."
)

_PICKS: Final = (
    "How Weir chooses among channels of equal priority. `weight`: by weight, and the same channel "
    "for all requests of a session. `latency`, `ttft`: the lowest of the last minutes. "
    "`throughput`: the highest of the last minutes. `price`: the lowest cost of a usual request. "
    "`in_flight`: the fewest running requests. `conversation`, `user`: the same channel for a "
    "conversation or a user, while this channel is available."
)


class ShadowIn(RequestBody):
    """Another channel that a share of the requests is sent to as well."""

    channel: str = Field(max_length=NAME_MAX, description="Name of a channel. Empty: none.")
    model: str = Field(
        "",
        max_length=NAME_MAX,
        description="The model's name in that channel. Empty: the provider's name in the channel's "
        "settings, or else the name of the requested model.",
    )
    percent: Whole = Field(100, ge=1, le=100, description="Share of the requests.")
    cap: str | None = Field(
        None,
        max_length=40,
        description="Cost per day at most, an exact decimal. It is required with a channel.",
    )


class ShadowOut(Schema):
    channel: str = ""
    model: str = ""
    percent: int = 100
    cap: str | None = None


class ModelRuleChange(RequestBody):
    """Changes to a rule. Omitted fields stay as they are."""

    fallbacks: list[Name] | None = Field(
        None,
        max_length=FALLBACKS_MAX,
        description="Models that answer in place of the model, in this order.",
    )
    causes: list[Cause] | None = Field(None, description=_CAUSES)
    pick: Pick | None = Field(None, description=_PICKS)
    charge_rule: ChargeRuleIn | None = Field(
        None, description="For abandoned and failed requests. An organisation's own comes first."
    )
    shadow: ShadowIn | None = None


class ModelRuleIn(ModelRuleChange):
    """A new rule."""

    model: Name = Field(description="A model's name, or a pattern such as `gpt-*`.")


class ModelRuleOut(Schema):
    id: str
    model: str
    fallbacks: list[str]
    causes: list[Cause]
    pick: Pick
    charge_rule: ChargeRuleOut
    shadow: ShadowOut


class ModelRulePage(Schema):
    items: list[ModelRuleOut]
    next: str | None


class AliasIn(RequestBody):
    """A new alias, and the name that it stands for."""

    name: Name
    target: Name = Field(description="A model's name, or another alias.")


class AliasChange(RequestBody):
    """A new target of the alias."""

    target: Name


class AliasOut(Schema):
    id: str
    name: str
    target: str


class AliasPage(Schema):
    items: list[AliasOut]
    next: str | None


@router.get("/model-rules", response=ModelRulePage, summary="List model rules")
def list_rules(actor: Actor, query: Query[pagination.ModelPageQuery]) -> ModelRulePage:
    """What holds for models whichever channel serves them, oldest first."""
    rows = visible_rules(actor).order_by("id")
    page = pagination.page_by_number(query.of_model(rows), query.limit, query.cursor)
    return ModelRulePage(items=[_rule(rule) for rule in page.items], next=page.next)


@router.post("/model-rules", response={201: ModelRuleOut}, summary="Create a model rule")
@requires("channels.write")
def create_rule(actor: Actor, body: ModelRuleIn) -> Status[ModelRuleOut]:
    """One rule applies to a model: that for its name, or else the longest pattern."""
    if visible_rules(actor).filter(model=body.model).exists():
        text = gettext("There is already a rule for %(model)s.") % {"model": body.model}
        raise Refused("model", text, already_exists=True)
    return Status(201, _rule(save_rule(actor, body.model, **_read_fields(body))))


@router.get("/model-rules/{id}", response=ModelRuleOut, summary="Show a model rule")
def show_rule(actor: Actor, id: str) -> ModelRuleOut:
    """One rule."""
    return _rule(access_rule(actor, id))


@router.patch("/model-rules/{id}", response=ModelRuleOut, summary="Change a model rule")
@requires("channels.write")
def change_rule(actor: Actor, id: str, body: ModelRuleChange) -> ModelRuleOut:
    """Applies to new requests within a second."""
    rule = access_rule(actor, id)
    return _rule(save_rule(actor, rule.model, **_read_fields(body)))


@router.delete("/model-rules/{id}", response={204: None}, summary="Delete a model rule")
@requires("channels.write")
def delete_rule(actor: Actor, id: str) -> Status[None]:
    """The model is then served by its own channels alone."""
    remove_rule(actor, access_rule(actor, id))
    return Status(204, None)


@router.get("/aliases", response=AliasPage, summary="List aliases")
def list_aliases(actor: Actor, query: Query[pagination.NamedPageQuery]) -> AliasPage:
    """Model names that stand for others, oldest first."""
    rows = visible_aliases(actor).order_by("id")
    page = pagination.page_by_number(query.filter_by_name(rows), query.limit, query.cursor)
    return AliasPage(items=[_alias(alias) for alias in page.items], next=page.next)


@router.post("/aliases", response={201: AliasOut}, summary="Create an alias")
@requires("channels.write")
def create_alias(actor: Actor, body: AliasIn) -> Status[AliasOut]:
    """Requests for the name are served by the model at the end of the chain, at its price. A chain
    that leads back to its beginning is rejected."""
    if visible_aliases(actor).filter(name=body.name).exists():
        text = gettext("There is already an alias named %(name)s.") % {"name": body.name}
        raise Refused("name", text, already_exists=True)
    return Status(201, _alias(save_alias(actor, body.name, body.target)))


@router.get("/aliases/{id}", response=AliasOut, summary="Show an alias")
def show_alias(actor: Actor, id: str) -> AliasOut:
    """One alias."""
    return _alias(access_alias(actor, id))


@router.patch("/aliases/{id}", response=AliasOut, summary="Change an alias")
@requires("channels.write")
def change_alias(actor: Actor, id: str, body: AliasChange) -> AliasOut:
    """Applies to new requests within a second."""
    return _alias(save_alias(actor, access_alias(actor, id).name, body.target))


@router.delete("/aliases/{id}", response={204: None}, summary="Delete an alias")
@requires("channels.write")
def delete_alias(actor: Actor, id: str) -> Status[None]:
    """The name then stands for itself."""
    remove_alias(actor, access_alias(actor, id))
    return Status(204, None)


def _read_fields(body: ModelRuleChange) -> RuleFields:
    set_fields = body.model_dump(exclude_unset=True, exclude={"model", "charge_rule", "shadow"})
    fields = {name: value for name, value in set_fields.items() if value is not None}
    if body.charge_rule is not None:
        fields["charge_rule"] = body.charge_rule.rule_fields()
    if body.shadow is not None:
        shadow = {**body.shadow.model_dump(), "cap": body.shadow.cap or ""}
        fields["shadow"] = shadow if body.shadow.channel else {}
    return cast(RuleFields, fields)


def _rule(rule: ModelRule) -> ModelRuleOut:
    return ModelRuleOut(
        id=str(rule.id),
        model=rule.model,
        **facts_of(rule),  # type: ignore[arg-type]
    )


def _alias(alias: ModelAlias) -> AliasOut:
    return AliasOut(id=str(alias.id), name=alias.name, target=alias.target)


_HOURS_MAX = int(KEPT.total_seconds()) // 3600


class Since(pagination.PageQuery):
    """The period of the results."""

    hours: TypedWhole = Field(24, ge=1, le=_HOURS_MAX, description="How many hours back.")


class Days(pagination.PageQuery):
    """The days (UTC) of the results, both included; `until` defaults to today."""

    days: TypedWhole = Field(31, ge=1, le=400, description="How many days back.")
    until: dt.date | None = None


_ESTIMATED = "Contains estimates for the requests in `unknown`."


class ShadowSpendOut(Schema):
    day: dt.date
    rule: str
    cost: str = Field(description=_ESTIMATED)
    unknown: int = Field(description="Requests whose cost is unknown.")


class ShadowSpendPage(Schema):
    items: list[ShadowSpendOut]
    total: str
    unknown: int = Field(description="Requests whose cost is unknown, on all days.")
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
    main_cost: str | None = Field(description="Null if the cost of an answer is unknown.")
    cost: str = Field(description=_ESTIMATED)
    unknown: int = Field(description="Requests to the shadow whose cost is unknown.")


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
    fault: str = Field(
        description="Empty if the shadow answered; `stopped` if the process stopped before."
    )
    ttft_ms: int | None
    total_ms: int
    tokens: int
    finish: str
    cost: str | None = Field(description="Null if it is unknown.")
    likeness: int | None
    same_structure: bool | None = Field(description="Null unless both answers are JSON.")


class ShadowAnswerPage(Schema):
    items: list[ShadowAnswerOut]
    next: str | None


@router.get("/shadow-traffic", response=ShadowFiguresPage, summary="Show shadow traffic")
@requires("channels.read")
def show_shadow_traffic(actor: Actor, query: Query[Since]) -> ShadowFiguresPage:
    """How the answers of shadow channels compare with those the clients got."""
    page = pagination.page_by_position(shadow_figures(query.hours), query.limit, query.cursor)
    items = [answer_of(ShadowFiguresOut, row) for row in page.items]
    return ShadowFiguresPage(items=items, next=page.next)


@router.get("/shadow-spend", response=ShadowSpendPage, summary="Show the cost of shadow traffic")
@requires("channels.read")
def show_shadow_spend(actor: Actor, query: Query[Days]) -> ShadowSpendPage:
    """What the shadows of each rule have cost on each day (UTC)."""
    spent = spent_by_day(query.until or clock.now().date(), query.days)
    page = pagination.page_by_position(spent, query.limit, query.cursor)
    return ShadowSpendPage(
        items=[answer_of(ShadowSpendOut, row) for row in page.items],
        total=format_usd(sum(row.cost_nano for row in spent)),
        unknown=sum(row.unknown for row in spent),
        next=page.next,
    )


@router.get("/shadow-answers", response=ShadowAnswerPage, summary="List shadow answers")
def list_shadow_answers(actor: Actor, query: Query[pagination.PageQuery]) -> ShadowAnswerPage:
    """Each request that was sent to a shadow channel as well, newest first."""
    rows = visible_shadow_answers(actor)
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    items = [answer_of(ShadowAnswerOut, row, cost=_known_cost(row)) for row in page.items]
    return ShadowAnswerPage(items=items, next=page.next)


def _known_cost(row: ShadowAnswer) -> str | None:
    return None if row.cost_unknown else format_usd(row.cost_nano)
