"""The management API of webhooks. Pages call the same functions."""

import datetime as dt
from typing import Annotated, Any, Literal

from ninja import Query, Status
from pydantic import Field

from accounts.access.actors import Actor, organisation_of
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema
from lib.ids import id_text
from notify.access import (
    access_delivery,
    access_endpoint,
    operator_endpoint,
    operator_endpoints,
    visible_deliveries,
    visible_endpoints,
)
from notify.deliveries import deliveries
from notify.endpoints import endpoints
from notify.endpoints.endpoints import CHAT_SECRET_MAX, NAME_MAX
from notify.models import Delivery, WebhookEndpoint

router = Router(tags=["Webhooks"])
operator_router = Router(tags=["Operators"], auth=api_auth.installation_auth)

ServiceName = Literal["webhook", "slack", "feishu", "dingtalk", "wecom"]


class WebhookIn(RequestBody):
    """A webhook to be made, or a chat that gets the same events as messages."""

    url: str = Field(
        min_length=1,
        max_length=500,
        description="Your https URL, or that of the chat's incoming webhook. Of a chat it is not "
        "shown again.",
    )
    service: ServiceName = Field(
        "webhook", description="`webhook` sends signed events; the others, messages."
    )
    name: str = Field("", max_length=NAME_MAX, description="What lists call it.")
    secret: str = Field(
        "",
        max_length=CHAT_SECRET_MAX,
        description="Of a Feishu or DingTalk robot that asks for signatures.",
    )
    language: Literal["", "en", "zh-hans"] = Field("", description="Of the messages in a chat.")
    kinds: list[Annotated[str, Field(max_length=60)]] = Field(
        default_factory=list, max_length=50, description="Events to send. Empty: all."
    )


class WebhookChange(RequestBody):
    """Changes to a webhook. Omitted fields stay as they are, and so does the service."""

    url: str | None = Field(
        None, min_length=1, max_length=500, description="Not of a chat: add that again."
    )
    name: str | None = Field(None, max_length=NAME_MAX)
    language: Literal["", "en", "zh-hans"] | None = None
    kinds: list[Annotated[str, Field(max_length=60)]] | None = Field(
        None, max_length=50, description="Events to send. Empty: all."
    )


class WebhookOut(Schema):
    id: str
    name: str
    service: ServiceName
    url: str = Field(description="Of a chat, where it begins.")
    language: str
    kinds: list[str]
    created_at: dt.datetime
    state: Literal["active", "ended"] = Field(
        description="`ended`: the management key that created it or last changed its URL was "
        "revoked or has expired, so no more events are sent."
    )


class NewWebhookOut(WebhookOut):
    """The response to creating a webhook or rotating its secret, the only one that contains the
    secret."""

    secret: str = Field(
        description="Used to sign each event. It is not shown again. Empty for a chat."
    )


class TryOut(Schema):
    at: dt.datetime
    status: int | None = Field(description="Your server's response, if any.")
    error: str
    ms: int


class DeliveryOut(Schema):
    id: str
    event: str = Field(description="The event's ID (`webhook-id`), the same for every attempt.")
    type: str
    state: str
    tries: list[TryOut]


class WebhookPage(Schema):
    items: list[WebhookOut]
    next: str | None


class DeliveryPage(Schema):
    items: list[DeliveryOut]
    next: str | None


@router.get("/webhooks", response=WebhookPage, summary="List webhooks")
def list_webhooks(actor: Actor, query: Query[pagination.NamedPageQuery]) -> WebhookPage:
    """The organisation's webhooks, newest first."""
    rows = visible_endpoints(actor)
    page = pagination.page_by_id(query.filter_by_name(rows), query.limit, query.cursor)
    return WebhookPage(
        items=[WebhookOut(**_serialize_endpoint(row)) for row in page.items], next=page.next
    )


@router.post("/webhooks", response={201: NewWebhookOut}, summary="Create a webhook")
@requires("webhooks.write")
def create_webhook(actor: Actor, body: WebhookIn) -> Status[NewWebhookOut]:
    """Sends signed events to your URL, or messages to a chat. Only this response has the secret."""
    organisation = organisation_of(actor)
    endpoint, secret = endpoints.create_endpoint(actor, organisation, **body.model_dump())
    return Status(201, NewWebhookOut(**_serialize_endpoint(endpoint), secret=secret))


@router.get("/webhooks/{id}", response=WebhookOut, summary="Show a webhook")
def show_webhook(actor: Actor, id: str) -> WebhookOut:
    """One webhook, without its secret."""
    return WebhookOut(**_serialize_endpoint(access_endpoint(actor, id)))


@router.patch("/webhooks/{id}", response=WebhookOut, summary="Change a webhook")
@requires("webhooks.write")
def change_webhook(actor: Actor, id: str, body: WebhookChange) -> WebhookOut:
    """Changes the given fields. Its secret stays."""
    endpoint = access_endpoint(actor, id)
    fields = body.model_dump(exclude_none=True)
    return WebhookOut(**_serialize_endpoint(endpoints.change_endpoint(actor, endpoint, **fields)))


@router.delete("/webhooks/{id}", response={204: None}, summary="Delete a webhook")
@requires("webhooks.write")
def remove_webhook(actor: Actor, id: str) -> Status[None]:
    """Permanently deletes a webhook."""
    endpoints.remove_endpoint(actor, access_endpoint(actor, id))
    return Status(204, None)


@router.post("/webhooks/{id}/rotate", response=NewWebhookOut, summary="Rotate a secret")
@requires("webhooks.write")
def rotate_webhook(actor: Actor, id: str) -> NewWebhookOut:
    """Creates a new secret. For one day, events are signed with the previous one as well."""
    endpoint = access_endpoint(actor, id)
    secret = endpoints.rotate_secret(actor, endpoint)
    return NewWebhookOut(**_serialize_endpoint(endpoint), secret=secret)


@router.post("/webhooks/{id}/test", response={202: DeliveryOut}, summary="Test a webhook")
@requires("webhooks.write")
def test_webhook(actor: Actor, id: str) -> Status[DeliveryOut]:
    """Sends a test event."""
    delivery = endpoints.send_test(actor, access_endpoint(actor, id))
    return Status(202, _delivery(delivery))


@router.get(
    "/webhooks/{id}/deliveries",
    response=DeliveryPage,
    summary="List deliveries",
    description=f"Events sent to a webhook, newest first, kept for {deliveries.KEPT_DAYS} days.",
)
def list_deliveries(actor: Actor, id: str, query: Query[pagination.PageQuery]) -> DeliveryPage:
    rows = visible_deliveries(actor, access_endpoint(actor, id))
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    return DeliveryPage(items=[_delivery(row) for row in page.items], next=page.next)


@router.post(
    "/webhooks/{id}/deliveries/{delivery}/send",
    response={202: DeliveryOut},
    summary="Resend a delivery",
)
@requires("webhooks.write")
def repeat_delivery(actor: Actor, id: str, delivery: str) -> Status[DeliveryOut]:
    """Resends a delivery. Your server can recognise it by the event's ID."""
    stored = access_delivery(actor, access_endpoint(actor, id), delivery)
    return Status(202, _delivery(deliveries.send_again(actor, stored)))


@operator_router.get("/operator-webhooks", response=WebhookPage, summary="List operator alerts")
def list_operator_webhooks(actor: Actor, query: Query[pagination.NamedPageQuery]) -> WebhookPage:
    """The operators' chats and webhooks, newest first."""
    page = pagination.page_by_id(
        query.filter_by_name(operator_endpoints(actor)),
        query.limit,
        query.cursor,
    )
    return WebhookPage(
        items=[WebhookOut(**_serialize_endpoint(row)) for row in page.items], next=page.next
    )


@operator_router.post(
    "/operator-webhooks", response={201: NewWebhookOut}, summary="Create an operator alert"
)
@requires("channels.write")
def create_operator_webhook(actor: Actor, body: WebhookIn) -> Status[NewWebhookOut]:
    """Sends the alerts of operators to a chat or your URL. Only this response has the secret."""
    endpoint, secret = endpoints.create_endpoint(actor, None, **body.model_dump())
    return Status(201, NewWebhookOut(**_serialize_endpoint(endpoint), secret=secret))


@operator_router.get(
    "/operator-webhooks/{id}", response=WebhookOut, summary="Show an operator alert"
)
def show_operator_webhook(actor: Actor, id: str) -> WebhookOut:
    """One of the operators' chats and webhooks."""
    return WebhookOut(**_serialize_endpoint(operator_endpoint(actor, id)))


@operator_router.patch(
    "/operator-webhooks/{id}", response=WebhookOut, summary="Change an operator alert"
)
@requires("channels.write")
def change_operator_webhook(actor: Actor, id: str, body: WebhookChange) -> WebhookOut:
    """Changes the given fields."""
    endpoint = operator_endpoint(actor, id)
    fields = body.model_dump(exclude_none=True)
    return WebhookOut(**_serialize_endpoint(endpoints.change_endpoint(actor, endpoint, **fields)))


@operator_router.post(
    "/operator-webhooks/{id}/test", response={202: DeliveryOut}, summary="Test an operator alert"
)
@requires("channels.write")
def test_operator_webhook(actor: Actor, id: str) -> Status[DeliveryOut]:
    """Sends a test event."""
    return Status(202, _delivery(endpoints.send_test(actor, operator_endpoint(actor, id))))


@operator_router.delete(
    "/operator-webhooks/{id}", response={204: None}, summary="Delete an operator alert"
)
@requires("channels.write")
def remove_operator_webhook(actor: Actor, id: str) -> Status[None]:
    """Permanently deletes it."""
    endpoints.remove_endpoint(actor, operator_endpoint(actor, id))
    return Status(204, None)


def _serialize_endpoint(endpoint: WebhookEndpoint) -> dict[str, Any]:
    return {
        "id": id_text(endpoint.id),
        "name": endpoint.name,
        "service": endpoint.service,
        "url": endpoint.url,
        "language": endpoint.language,
        "kinds": endpoint.kinds,
        "created_at": endpoint.created_at,
        "state": "ended" if endpoints.has_ended(endpoint) else "active",
    }


def _delivery(delivery: Delivery) -> DeliveryOut:
    return DeliveryOut(
        id=id_text(delivery.id),
        event=id_text(delivery.fact_id),
        type=delivery.fact.kind,
        state=delivery.state,
        tries=[TryOut(**attempt) for attempt in delivery.tries if "ms" in attempt],
    )
