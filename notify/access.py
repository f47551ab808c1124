"""Access to an organisation's webhooks and their deliveries, and to those of the operators."""

from django.db.models import OuterRef, QuerySet, Subquery

from accounts.access.access import get_by_id, require
from accounts.access.actors import Actor
from notify.models import Delivery, WebhookEndpoint


def visible_endpoints(actor: Actor) -> QuerySet[WebhookEndpoint]:
    """Return the organisation's webhooks, newest first."""
    require(actor, "webhooks.read")
    rows = WebhookEndpoint.objects.filter(organisation=actor.organisation, removed_at=None)
    return rows.select_related("key", "created_by").order_by("-id")


def operator_endpoints(actor: Actor) -> QuerySet[WebhookEndpoint]:
    """Return the operators' webhooks and chats, newest first. Each has `last_delivery_id`."""
    require(actor, "channels.read")
    latest = Delivery.objects.filter(endpoint=OuterRef("pk")).order_by("-id").values("id")[:1]
    rows = WebhookEndpoint.objects.filter(organisation=None, removed_at=None)
    rows = rows.annotate(last_delivery_id=Subquery(latest))
    return rows.select_related("key", "created_by").order_by("-id")


def endpoints_with_last_delivery(
    actor: Actor,
) -> list[tuple[WebhookEndpoint, Delivery | None]]:
    """Return the operators' webhooks and chats with the last delivery to each, newest first."""
    rows = [(row, row.last_delivery_id) for row in operator_endpoints(actor)]  # type: ignore[attr-defined]
    last = Delivery.objects.in_bulk([id for _, id in rows if id is not None])
    return [(row, last.get(id)) for row, id in rows]


def operator_endpoint(actor: Actor, id: str) -> WebhookEndpoint:
    """Return one webhook of the operators. Raises Http404."""
    return get_by_id(operator_endpoints(actor), id)


def access_endpoint(actor: Actor, id: str) -> WebhookEndpoint:
    """Return a webhook of the organisation. Raises Http404."""
    return get_by_id(visible_endpoints(actor), id)


def visible_deliveries(actor: Actor, endpoint: WebhookEndpoint) -> QuerySet[Delivery]:
    """Return the deliveries to a webhook that the actor may see, newest first."""
    require(actor, "webhooks.read")
    return Delivery.objects.filter(endpoint=endpoint).select_related("fact").order_by("-id")


def access_delivery(actor: Actor, endpoint: WebhookEndpoint, id: str) -> Delivery:
    """Return one delivery to a webhook. Raises Http404."""
    return get_by_id(visible_deliveries(actor, endpoint), id)
