"""The management API for operators of catalogue updates (comparing lists with the current facts,
the proposed facts, and fields to ignore), and of changes in the list of a provider's models. The
pages call the same functions. Proposed prices are in `/price-proposals`."""

import datetime as dt
import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Query, Status
from pydantic import Field

from accounts.access import access
from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from billing.currency.answers import answer_of
from billing.idempotency import Answer, answer_idempotently
from gateway.access import access_channel
from gateway.catalogue import updates as catalogue_updates
from gateway.catalogue.access import (
    access_ignore_rule,
    visible_ignore_rules,
    visible_model_proposals,
    visible_updates,
)
from gateway.catalogue.list_proposals import accept_proposals, dismiss_proposals
from gateway.catalogue.model_change_rules import ChangeKind
from gateway.catalogue.model_changes import changes_of, check_models, decide, listing_of
from gateway.catalogue.updates import (
    Choice,
    add_ignore_rule,
    fetch_list,
    remove_ignore_rule,
    source_of,
    update_catalogue,
)
from gateway.channels import bounds as bounds
from gateway.channels.channel_tests.words import words_of
from gateway.channels.model_lists import NAMES_MAX
from gateway.model_entries import facts as model_facts
from gateway.models import (
    CatalogueIgnoreRule,
    CatalogueUpdate,
    Channel,
    ModelProposal,
)
from gateway.prices.forms import read_ids
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema, json_body
from lib.refusal import Refused

router = Router(tags=["Price book"], auth=api_auth.installation_auth)

Name = Annotated[str, Field(max_length=bounds.MODEL_MAX, pattern=bounds.MODEL_PATTERN)]
IgnorableField = Literal["", "price"] | model_facts.Field


class UpdateIn(RequestBody):
    """A list of models: an address or the list itself."""

    address: str | None = Field(
        None, max_length=2000, description="Fetched once. A secret in its query is not kept."
    )
    models: dict[str, Any] | None = Field(
        None, description="The list itself, in the format that LiteLLM publishes."
    )
    name: str = Field("api", pattern=r"^[\w. -]{1,50}$", description="The name of the list.")
    only: list[Name] = Field([], max_length=100, description="Names or patterns. Empty: all.")
    served: bool = Field(False, description="Only models that clients can call here.")


class CountsOut(Schema):
    added: int
    changed: int
    removed: int


class UpdateOut(Schema):
    id: str
    source: str
    created_at: dt.datetime
    prices: CountsOut
    facts: CountsOut
    unknown: dict[str, int] = Field(description="Unknown fields: of how many models.")
    skipped: dict[str, str] = Field(description="Models whose prices cannot be carried over: why.")
    skipped_count: int


class UpdatePage(Schema):
    items: list[UpdateOut]
    next: str | None


class FactOut(Schema):
    """A proposed fact of a model; null: not set."""

    id: str
    model: str
    field: str
    before: int | bool | str | None
    after: int | bool | str | None
    source: str
    created_at: dt.datetime


class FactPage(Schema):
    items: list[FactOut]
    next: str | None


class DecisionIn(RequestBody):
    """The proposals to decide on, of facts and of prices."""

    ids: list[str] = Field(min_length=1, max_length=1000)


class DecisionOut(Schema):
    decided: int
    waiting: int = Field(description="Prices that wait for a second operator.")


class IgnoreRuleIn(RequestBody):
    """What lists may not propose."""

    model: Name = Field(description="A model's name, or a pattern such as `gpt-*`.")
    field: IgnorableField = Field("", description="Empty: everything.")


class IgnoreRuleChange(RequestBody):
    """Changes to an ignore rule. Omitted fields stay as they are."""

    model: Name | None = None
    field: IgnorableField | None = Field(None, description="Empty: everything.")


class IgnoreRuleOut(Schema):
    id: str
    model: str
    field: str


class IgnoreRulePage(Schema):
    items: list[IgnoreRuleOut]
    next: str | None


@router.get("/catalogue-updates", response=UpdatePage, summary="List catalogue updates")
def list_updates(actor: Actor, query: Query[pagination.PageQuery]) -> UpdatePage:
    """The lists that were compared, newest first."""
    rows = visible_updates(actor)
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    return UpdatePage(items=[_update(item) for item in page.items], next=page.next)


@router.post("/catalogue-updates", response={201: UpdateOut}, summary="Compare with a list")
@requires("prices.write")
def compare_catalogue(request: HttpRequest, actor: Actor, body: UpdateIn) -> HttpResponse:
    """Compares a list of models and prices with what applies. Differences become proposals; nothing
    applies by itself."""
    if (body.address is None) == (body.models is None):
        raise Refused("address", "Send either an address or models.")
    if body.address is not None:
        text, source = fetch_list(body.address), source_of(body.address)
    else:
        text, source = json.dumps(body.models).encode(), source_of(body.name)
    choice = Choice(body.only, served=body.served)

    def act() -> Answer:
        update = _update(update_catalogue(actor, text, source, choice))
        return Answer(201, json_body(update))

    # The list was fetched before: no transaction is open while waiting for the network (I9).
    return answer_idempotently(request, actor, act)


@router.get("/catalogue-updates/{id}", response=UpdateOut, summary="Show a catalogue update")
def show_update(actor: Actor, id: str) -> UpdateOut:
    """What one comparison came to."""
    return _update(access.get_by_id(visible_updates(actor), id))


@router.get("/model-proposals", response=FactPage, summary="List proposed facts of models")
def list_facts(actor: Actor, query: Query[pagination.ModelPageQuery]) -> FactPage:
    """What lists and probes say otherwise, newest first. Prices are among /price-proposals."""
    rows = visible_model_proposals(actor).order_by("-id")
    page = pagination.page_by_id(query.of_model(rows), query.limit, query.cursor)
    return FactPage(items=[_fact(item) for item in page.items], next=page.next)


@router.post("/model-proposals/accept", response=DecisionOut, summary="Accept proposals")
@requires("prices.write")
def accept_model_proposals(actor: Actor, body: DecisionIn) -> DecisionOut:
    """All or none."""
    decided = accept_proposals(actor, _ids(body.ids))
    return DecisionOut(decided=decided.made, waiting=decided.waiting)


@router.post("/model-proposals/dismiss", response=DecisionOut, summary="Dismiss proposals")
@requires("prices.write")
def dismiss_model_proposals(actor: Actor, body: DecisionIn) -> DecisionOut:
    """The same list does not propose them again."""
    decided = dismiss_proposals(actor, _ids(body.ids))
    return DecisionOut(decided=decided.made, waiting=decided.waiting)


@router.get("/catalogue-ignore-rules", response=IgnoreRulePage, summary="List ignore rules")
def list_ignore_rules(actor: Actor, query: Query[pagination.ModelPageQuery]) -> IgnoreRulePage:
    """What lists never propose, oldest first."""
    rows = visible_ignore_rules(actor).order_by("id")
    page = pagination.page_by_number(query.of_model(rows), query.limit, query.cursor)
    return IgnoreRulePage(items=[_rule(item) for item in page.items], next=page.next)


@router.post(
    "/catalogue-ignore-rules", response={201: IgnoreRuleOut}, summary="Create an ignore rule"
)
@requires("prices.write")
def create_ignore_rule(actor: Actor, body: IgnoreRuleIn) -> Status[IgnoreRuleOut]:
    """Applies to the next update."""
    return Status(201, _rule(add_ignore_rule(actor, body.model, body.field)))


@router.get("/catalogue-ignore-rules/{id}", response=IgnoreRuleOut, summary="Show an ignore rule")
def show_ignore_rule(actor: Actor, id: str) -> IgnoreRuleOut:
    """One rule."""
    return _rule(access_ignore_rule(actor, id))


@router.patch(
    "/catalogue-ignore-rules/{id}", response=IgnoreRuleOut, summary="Change an ignore rule"
)
@requires("prices.write")
def change_ignore_rule(actor: Actor, id: str, body: IgnoreRuleChange) -> IgnoreRuleOut:
    """Applies to the next update."""
    rule = access_ignore_rule(actor, id)
    fields = body.model_dump(exclude_none=True)
    return _rule(catalogue_updates.change_ignore_rule(actor, rule, **fields))


@router.delete(
    "/catalogue-ignore-rules/{id}", response={204: None}, summary="Delete an ignore rule"
)
@requires("prices.write")
def delete_ignore_rule(actor: Actor, id: str) -> Status[None]:
    """Lists then propose it again."""
    remove_ignore_rule(actor, access_ignore_rule(actor, id))
    return Status(204, None)


def _ids(texts: Sequence[str]) -> list[UUID]:
    ids = read_ids(texts)
    if len(ids) < len(texts):
        raise Refused("ids", "One of these is not an ID.")
    return ids


def _update(update: CatalogueUpdate) -> UpdateOut:
    return answer_of(UpdateOut, update, **update.result)


def _fact(row: ModelProposal) -> FactOut:
    return answer_of(FactOut, row)


def _rule(rule: CatalogueIgnoreRule) -> IgnoreRuleOut:
    return answer_of(IgnoreRuleOut, rule)


model_change_router = Router(tags=["Channels"], auth=api_auth.installation_auth)

ChangeId = Annotated[str, Field(max_length=2 * bounds.MODEL_MAX + 20)]


class ModelChangeOut(Schema):
    id: str
    kind: ChangeKind
    name: str | None = Field(description="The provider's name of what is new.")
    was: str | None = Field(description="The name the provider no longer lists.")
    serves: list[str] = Field(description="The channel's models that ask for it.")


class ModelChangesOut(Schema):
    checked_at: dt.datetime | None = Field(description="Null before the first check.")
    listed_at: dt.datetime | None = Field(description="The last check that succeeded.")
    complete: bool = Field(description="If not, what is missing from the list is unknown.")
    fault: str | None = Field(description="Why the last check failed.")
    cause: str | None
    fix: str | None
    changes: list[ModelChangeOut]


class DecisionsIn(RequestBody):
    """Ids of changes, from the list of changes."""

    accept: dict[ChangeId, Annotated[str, Field(max_length=bounds.MODEL_MAX)]] = Field(
        default_factory=dict,
        max_length=NAMES_MAX,
        description="With the public name of a new model; empty: the provider's. One that is gone "
        "is removed from the channel; a renamed one gets its new name there.",
    )
    ignore: list[ChangeId] = Field(default_factory=list, max_length=NAMES_MAX)


@model_change_router.get(
    "/channels/{id}/model-changes",
    response=ModelChangesOut,
    summary="Show changes of a provider's models",
)
def show_model_changes(actor: Actor, id: str) -> ModelChangesOut:
    """What changed in the provider's list since the first check, and was not decided on."""
    return _changes(access_channel(actor, id))


@model_change_router.post(
    "/channels/{id}/model-changes/check", response=ModelChangesOut, summary="Check for new models"
)
@requires("channels.test")
def check_provider_models(actor: Actor, id: str) -> ModelChangesOut:
    """Reads the provider's list now. The first time, it is what later ones are compared with."""
    channel = access_channel(actor, id)
    check_models(actor, channel)
    return _changes(channel)


@model_change_router.post(
    "/channels/{id}/model-changes", response=ModelChangesOut, summary="Accept or ignore changes"
)
@requires("channels.write")
def decide_model_changes(actor: Actor, id: str, body: DecisionsIn) -> ModelChangesOut:
    """All of them or none. Takes effect everywhere within a second."""
    decide(actor, access_channel(actor, id), body.accept, body.ignore)
    return _changes(access_channel(actor, id))


def _changes(channel: Channel) -> ModelChangesOut:
    listing = listing_of(channel)
    fault = (listing.fault or None) if listing else None
    cause, fix = words_of(fault)  # type: ignore[arg-type]
    return ModelChangesOut(
        checked_at=listing.checked_at if listing else None,
        listed_at=listing.listed_at if listing else None,
        complete=bool(listing and listing.complete),
        fault=fault,
        cause=str(cause) if cause else None,
        fix=str(fix) if fix else None,
        changes=[
            ModelChangeOut(
                id=change.id,
                kind=change.kind,
                name=change.name or None,
                was=change.was or None,
                serves=list(change.serves),
            )
            for change in changes_of(channel)
        ],
    )
