"""The management API for previews of sent requests, for operators. The page shows the same."""

from typing import Annotated, Any

import msgspec
from django.http import HttpRequest
from ninja import Router
from pydantic import Field

from accounts.access import access, actors, api_auth
from config.previews.sent_preview import preview_sent
from gateway.access import access_channel
from gateway.channels.fields import provider_of
from gateway.channels.overrides.overrides import check_overrides
from gateway.channels.schemas import OverridesIn
from lib.api.openapi import RequestBody, Schema
from relay.routing.sent_preview import SentPreview

router = Router(tags=["Channels"], auth=api_auth.installation_auth)
_Ascii = Annotated[str, Field(max_length=1024, pattern=r"^[\x20-\x7e]*$")]


class SentPreviewIn(RequestBody):
    path: str = Field("/v1/chat/completions", max_length=300, description="Of the model API.")
    headers: dict[_Ascii, _Ascii] = Field(
        default_factory=dict, description="The client's headers.", max_length=100
    )
    body: dict[str, Any] = Field(description="The client's body; its model is one of the channel.")
    overrides: OverridesIn | None = Field(
        None, description="In place of the stored ones, to try them."
    )


class SentRefusalOut(Schema):
    status: int
    kind: str
    message: str


class SentPreviewOut(Schema):
    """The request that the channel would receive. Keys are masked."""

    url: str
    headers: dict[str, str]
    body: Any
    dropped: list[str] = Field(description="Parameters the provider's API does not have.")
    refusal: SentRefusalOut | None = Field(description="What the client would get instead.")


@router.post("/channels/{id}/preview", response=SentPreviewOut, summary="Preview overrides")
def preview_sent_request(request: HttpRequest, id: str, data: SentPreviewIn) -> dict[str, Any]:
    """The headers and body the provider would receive for a request. Nothing is sent."""
    actor = actors.actor_of(request)
    access.require(actor, "channels.write")
    channel = access_channel(actor, id)
    overrides = channel.overrides
    if data.overrides is not None:
        changes = data.overrides.model_dump(mode="json")
        overrides = check_overrides(provider_of(channel), changes)
    body = msgspec.json.encode(data.body)
    headers = list(data.headers.items())
    return _serialize_preview(preview_sent(request, channel, overrides, data.path, headers, body))


def _serialize_preview(preview: SentPreview) -> dict[str, Any]:
    refusal = preview.refusal
    return {
        "url": preview.url,
        "headers": dict(preview.headers),
        "body": msgspec.json.decode(preview.body) if preview.body else None,
        "dropped": list(preview.dropped),
        "refusal": None
        if refusal is None
        else {"status": refusal.status, "kind": refusal.kind, "message": refusal.message},
    }
