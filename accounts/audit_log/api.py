"""The management API of the audit trail."""

import datetime as dt
from typing import Any

from ninja import Query
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router
from accounts.audit_log import log as audit_log
from accounts.audit_log.log import AuditFilter
from lib.api import pagination
from lib.api.instants import Instant
from lib.api.openapi import Schema

router = Router(tags=["Audit"])


class AuditQuery(pagination.PageQuery):
    """Which events to list."""

    actor: str = Field(
        "",
        max_length=254,
        description="Part of an email address or key name. A whole address: only this person.",
    )
    action: str = Field("", max_length=60, description="Prefix of the action, such as `key.`.")
    object: str = Field("", max_length=60, description="ID of the object, or its type.")
    since: Instant | None = Field(None, description="Events at this time or later.")
    until: Instant | None = Field(None, description="Events before this time.")


class EventActor(Schema):
    user: str | None = Field(description="Email address of the person.")
    key: str | None = Field(description="ID of the key that was used.")


class EventObject(Schema):
    type: str
    id: str


class EventOut(Schema):
    id: str
    at: dt.datetime
    organisation: str | None
    action: str
    actor: EventActor
    object: EventObject
    before: dict[str, Any] | None = Field(description="The values before the change.")
    after: dict[str, Any] | None = Field(description="The values after the change.")
    detail: dict[str, Any]
    reason: str
    address: str = Field(description="Network address of the client.")
    client: str = Field(description="What the client calls itself.")
    session: str = Field(description="The same for all events of one session.")
    request: str = Field(description="The `x-request-id` of the answer.")


class EventPage(Schema):
    items: list[EventOut]
    next: str | None


@router.get("/audit", response=EventPage, summary="List audit events")
def list_events(actor: Actor, query: Query[AuditQuery]) -> dict[str, Any]:
    """Who changed what in the organisation, newest first."""
    wanted = AuditFilter(**query.model_dump(exclude={"limit", "cursor"}))
    events = audit_log.filter_events(audit_log.visible_events(actor), wanted)
    page = pagination.page_by_id(events, query.limit, query.cursor)
    items = [audit_log.serialize_event(one) for one in audit_log.describe_events(page.items)]
    return {"items": items, "next": page.next}
