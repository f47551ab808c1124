"""The management API for public models (entries and probes), for operators. The pages call the same
functions."""

import datetime as dt
from typing import Annotated, Any, cast

from django.http import Http404
from ninja import Query, Status
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from billing.currency.money import format_usd
from gateway.access import access_channel
from gateway.channels import bounds as bounds
from gateway.channels.channel_tests.variants import Variant
from gateway.listed_models.public_models import (
    PriceState,
    PublicModel,
    Standing,
    availability_of,
    effective_facts,
)
from gateway.model_entries.entries import EntryFields, facts_of, remove_entry, save_entry
from gateway.model_entries.rules import PLANS_MAX, TOKENS_MAX, Role
from gateway.models import ModelEntry
from gateway.providers.overrides import Capability
from gateway.public_models.access import access_model, visible_models
from gateway.public_models.probes import TRIES, Try, probe_model
from lib.api import pagination
from lib.api.instants import Instant
from lib.api.openapi import RequestBody, Schema
from lib.numbers.whole_numbers import Whole

router = Router(tags=["Channels"], auth=api_auth.installation_auth)

Name = Annotated[str, Field(max_length=bounds.MODEL_MAX, pattern=bounds.MODEL_PATTERN)]
Tokens = Annotated[Whole, Field(ge=1, le=TOKENS_MAX)]


class ModelChange(RequestBody):
    """Changes to a model's entry. Omitted fields stay as they are."""

    aliases: list[Name] | None = Field(
        None, max_length=1000, description="The names that stand for it, all of them."
    )
    can: dict[Capability, bool] | None = Field(
        None,
        description="Capabilities that replace the catalogue's. The map replaces the stored one.",
    )
    context_max: Tokens | None = Field(
        None, description="Input limit in tokens. Null: as the catalogue says."
    )
    output_max: Tokens | None = Field(
        None, description="Output limit in tokens. Null: as the catalogue says."
    )
    deprecated_at: Instant | None = Field(
        None, description="The time from which answers have the header `Deprecation` (RFC 9745)."
    )
    sunset_at: Instant | None = Field(
        None,
        description=(
            "The time from which the model is retired. Answers of a deprecated model announce this "
            "time in the header `Sunset` (RFC 8594). If the model has no `deprecated_at`, it "
            "becomes deprecated now."
        ),
    )
    replacement: Name | None = Field(None, description="The model to use instead. Null: none.")
    forwards: bool | None = Field(
        None,
        description=(
            "Whether the replacement answers requests for the retired model, at the price of the "
            "replacement. Otherwise Weir rejects them with `model_retired`."
        ),
    )
    plans: list[str] | None = Field(
        None, max_length=PLANS_MAX, description="The plans that show the model. Empty: everyone."
    )
    roles: list[Role] | None = Field(
        None,
        description=(
            "The roles that see the model. Empty: everyone. A key that belongs to no one has no "
            "role."
        ),
    )


class ProbeIn(RequestBody):
    """What to probe, and through which channel."""

    model: Name
    channel: str
    tries: list[Try] = Field(list(TRIES), min_length=1, max_length=len(TRIES))


class TriedOut(Schema):
    variant: Variant
    ok: bool
    fault: str | None
    total_ms: int
    cost: str | None


class ProbeOut(Schema):
    at: dt.datetime
    channel: str
    cost: str | None = Field(description="What it cost at the provider, in USD, if known.")
    results: list[TriedOut]


class ModelOut(Schema):
    name: str
    alias_of: str | None
    aliases: list[str]
    channels: list[str]
    price: PriceState
    status: Standing
    facts: dict[str, int | bool | str | None] = Field(
        description="What applies, by what is set here or else by the catalogue."
    )
    can: dict[str, bool]
    context_max: int | None
    output_max: int | None
    deprecated_at: dt.datetime | None
    sunset_at: dt.datetime | None
    replacement: str | None
    forwards: bool
    plans: list[str]
    roles: list[Role]
    probe: ProbeOut | None


class ModelPage(Schema):
    items: list[ModelOut]
    next: str | None


@router.get("/public-models", response=ModelPage, summary="List public models")
def list_models(actor: Actor, query: Query[pagination.NamedPageQuery]) -> ModelPage:
    """Every name that clients can request, by name; then the patterns."""
    models = visible_models(actor)
    if query.name is not None:
        models = [model for model in models if model.name == query.name]
    page = pagination.page_by_key(models, query.limit, query.cursor, lambda model: model.name)
    return ModelPage(items=[_model(item) for item in page.items], next=page.next)


@router.get("/public-models/{path:name}", response=ModelOut, summary="Show a public model")
def show_model(actor: Actor, name: str) -> ModelOut:
    """One model."""
    return _model(access_model(actor, name))


@router.patch("/public-models/{path:name}", response=ModelOut, summary="Change a public model")
@requires("channels.write")
def change_model(actor: Actor, name: str, body: ModelChange) -> ModelOut:
    """Applies to new requests within a second."""
    model, changes = access_model(actor, name), body.model_dump(exclude_unset=True)
    empty: dict[str, Any] = {"can": {}, "replacement": "", "forwards": False}
    empty |= {"plans": [], "roles": [], "aliases": []}
    fields = {key: empty.get(key) if value is None else value for key, value in changes.items()}
    aliases = fields.pop("aliases", None)
    save_entry(actor, model.name, aliases=aliases, **cast(EntryFields, fields))
    return _model(access_model(actor, name))


@router.delete("/public-models/{path:name}", response={204: None}, summary="Reset a public model")
@requires("channels.write")
def reset_model(actor: Actor, name: str) -> Status[None]:
    """Removes everything set for it: the catalogue applies again, for everyone."""
    entry = access_model(actor, name).entry
    if entry is None:
        raise Http404
    remove_entry(actor, entry)
    return Status(204, None)


@router.post("/model-probes", response=ModelOut, summary="Probe a model")
@requires("channels.test")
def probe_public_model(actor: Actor, body: ProbeIn) -> ModelOut:
    """Sends small requests to the provider to find out what the model can do. No customer is
    charged. Differences become proposals."""
    model = access_model(actor, body.model)
    probe_model(actor, model, access_channel(actor, body.channel), body.tries)
    return _model(access_model(actor, body.model))


def _model(model: PublicModel) -> ModelOut:
    entry = model.entry or ModelEntry()
    facts = facts_of(entry) | {"replacement": entry.replacement or None}
    return ModelOut(
        name=model.name,
        alias_of=model.target or None,
        aliases=list(model.aliases),
        channels=[server.channel.name for server in model.servers],
        price=model.price_state,
        status=availability_of(model),
        facts=cast(dict[str, int | bool | str | None], effective_facts(model)),
        probe=None if entry.probe is None else _probe(entry.probe),
        **facts,
    )


def _probe(stored: dict[str, Any]) -> ProbeOut:
    results = [TriedOut(**{**one, "cost": _usd(one["cost_nano"])}) for one in stored["results"]]
    return ProbeOut(
        at=stored["at"],
        channel=stored["channel"],
        cost=_usd(stored["cost_nano"]),
        results=results,
    )


def _usd(nano: int | None) -> str | None:
    return None if nano is None else format_usd(nano)
