"""The management API of changes in the list of a provider's models. Pages call the same
functions."""

import datetime as dt
from typing import Annotated

from django.http import HttpRequest
from ninja import Router
from pydantic import Field

from accounts.access import access, actors, api_auth
from gateway.access import access_channel
from gateway.catalogue.model_change_rules import ChangeKind
from gateway.catalogue.model_changes import changes_of, check_models, decide
from gateway.catalogue.model_lists import NAMES_MAX
from gateway.channels import bounds as bounds
from gateway.channels.channel_tests.words import words_of
from gateway.models import Channel, ModelListing
from lib.api.openapi import RequestBody, Schema

router = Router(tags=["Channels"], auth=api_auth.installation_auth)

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


@router.get(
    "/channels/{id}/model-changes",
    response=ModelChangesOut,
    summary="Show changes of a provider's models",
)
def show_model_changes(request: HttpRequest, id: str) -> ModelChangesOut:
    """What changed in the provider's list since the first check, and was not decided on."""
    return _changes(access_channel(actors.actor_of(request), id))


@router.post(
    "/channels/{id}/model-changes/check", response=ModelChangesOut, summary="Check for new models"
)
def check_provider_models(request: HttpRequest, id: str) -> ModelChangesOut:
    """Reads the provider's list now. The first time, it is what later ones are compared with."""
    actor = actors.actor_of(request)
    access.require(actor, "channels.test")
    channel = access_channel(actor, id)
    check_models(actor, channel)
    return _changes(channel)


@router.post(
    "/channels/{id}/model-changes", response=ModelChangesOut, summary="Accept or ignore changes"
)
def decide_model_changes(request: HttpRequest, id: str, body: DecisionsIn) -> ModelChangesOut:
    """All of them or none. Takes effect everywhere within a second."""
    actor = actors.actor_of(request)
    access.require(actor, "channels.write")
    decide(actor, access_channel(actor, id), body.accept, body.ignore)
    return _changes(access_channel(actor, id))


def _changes(channel: Channel) -> ModelChangesOut:
    listing = ModelListing.objects.filter(channel=channel).first()
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
