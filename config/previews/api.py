"""The management API of the previews, for operators: where a request would go, and what would be
sent. Their pages show the same."""

from typing import Annotated, Any, Literal

import msgspec
from django.http import HttpRequest
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from billing.currency.money import format_usd
from config.previews.route_preview import preview_route
from config.previews.sent_preview import preview_sent
from gateway.access import access_channel
from gateway.channels.fields import provider_of
from gateway.channels.overrides.conditions import check_teams
from gateway.channels.overrides.overrides import check_overrides, check_rule_teams
from gateway.channels.schemas import OverridesIn
from gateway.routing.model_rule_bounds import Cause
from lib.api.openapi import RequestBody, Schema
from relay.hold_sizes.bound import Bound
from relay.pages.sent_preview import SentPreview
from relay.previews.route_preview import RoutePreview
from usage.requests.choices import SkipReason, Why

router = Router(tags=["Channels"], auth=api_auth.installation_auth)


HeaderText = Annotated[str, Field(max_length=4000)]


class RoutePreviewIn(RequestBody):
    key: str = Field(description="ID of the API key that would send the request.")
    path: str = Field("/v1/chat/completions", max_length=300, description="Of the model API.")
    body: dict[str, Any] = Field(description="The body of the request.")
    headers: dict[Literal["x-weir-labels", "x-weir-data-policy"], HeaderText] = Field(
        default_factory=dict, description="Headers that can affect routing."
    )


class PreviewedAttemptOut(Schema):
    """An attempt that would be made if those before it failed."""

    model: str
    channel: str
    upstream_model: str
    why: Why
    share_percent: int | None = Field(
        description="How often the channel is picked first by weight; null if it is not picked so."
    )


class PreviewSkippedOut(Schema):
    channel: str
    reason: SkipReason
    wait_s: float = Field(description="Seconds until it is tried if nothing else is left.")


class PreviewRefusalOut(Schema):
    status: int
    kind: str
    message: str


class PreviewHoldOut(Schema):
    hold: str = Field(description="USD that the first attempt would hold.")
    expected: str | None = Field(description="USD it will probably charge; null if unknown.")
    available: str = Field(description="USD available to hold.")
    fits: bool


class RoutePreviewOut(Schema):
    """Where a request would go."""

    model: str = Field(description="The model in the catalogue.")
    attempts: list[PreviewedAttemptOut] = Field(description="In order.")
    skipped: list[PreviewSkippedOut]
    refusal: PreviewRefusalOut | None = Field(description="What the client would get instead.")
    hold: PreviewHoldOut | None
    fallbacks: list[str] = Field(description="Models that can answer in its place, in order.")
    causes: list[Cause] = Field(description="When they are used.")


@router.post("/routes/preview", response=RoutePreviewOut, summary="Preview a route")
@requires("channels.read")
def show_route(request: HttpRequest, actor: Actor, data: RoutePreviewIn) -> dict[str, Any]:
    """The channels a request would be sent to, in order, and those that are skipped. Nothing is
    sent or held."""
    body = msgspec.json.encode(data.body)
    headers = {str(name): text for name, text in data.headers.items()}
    return _serialize_preview(preview_route(request, actor, data.key, data.path, body, headers))


def _serialize_preview(preview: RoutePreview) -> dict[str, Any]:
    refusal = preview.refusal
    return {
        "model": preview.model,
        "attempts": [attempt._asdict() for attempt in preview.attempts],
        "skipped": [item._asdict() for item in preview.skipped],
        "refusal": None
        if refusal is None
        else {"status": refusal.status, "kind": refusal.kind, "message": refusal.message},
        "hold": _hold(preview.bound),
        "fallbacks": list(preview.fallbacks),
        "causes": sorted(preview.causes),
    }


def _hold(bound: Bound | None) -> dict[str, Any] | None:
    if bound is None:
        return None
    expected_nano = bound.expected_nano
    return {
        "hold": format_usd(bound.hold_nano),
        "expected": None if expected_nano is None else format_usd(expected_nano),
        "available": format_usd(bound.available_nano),
        "fits": bound.fits,
    }


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
    team: str = Field(
        "",
        max_length=200,
        description="Slug of the caller: `acme`, or `acme/core` for one team. Empty for none.",
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
@requires("channels.write")
def preview_sent_request(
    request: HttpRequest, actor: Actor, id: str, data: SentPreviewIn
) -> dict[str, Any]:
    """The headers and body the provider would receive for a request. Nothing is sent."""
    channel = access_channel(actor, id)
    overrides = channel.overrides
    if data.overrides is not None:
        changes = data.overrides.model_dump(mode="json")
        overrides = check_overrides(provider_of(channel), changes)
        check_rule_teams(overrides)
    body = msgspec.json.encode(data.body)
    headers = list(data.headers.items())
    check_teams("team", [data.team] if data.team else [])
    sent = preview_sent(request, channel, overrides, data.path, headers, body, team=data.team)
    return _serialize_sent(sent)


def _serialize_sent(preview: SentPreview) -> dict[str, Any]:
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
