"""The management API for operators of announcements. Pages call the same functions."""

import datetime as dt
from typing import Literal

from django.http import HttpRequest
from ninja import Query, Router, Status
from pydantic import Field

from accounts.access import access, actors, api_auth
from gateway.access import access_announcement, visible_announcements
from gateway.models import Announcement
from gateway.status.announcements import change_announcement, end_announcement, publish_announcement
from lib import clock
from lib.api import pagination
from lib.api.instants import Instant
from lib.api.openapi import RequestBody, Schema
from lib.ids import id_text

router = Router(tags=["Operators"], auth=api_auth.installation_auth)

Tone = Literal["info", "warn", "bad"]
_TONES = "`info`: information. `warn`: a warning. `bad`: an incident."


class AnnouncementIn(RequestBody):
    """A new announcement, shown in a banner and on the status page."""

    title: str = Field(min_length=1, max_length=120)
    text: str = Field("", max_length=2000)
    tone: Tone = Field("info", description=_TONES)
    starts_at: Instant | None = Field(None, description="Default: now.")
    ends_at: Instant | None = Field(None, description="Null: until you end it.")


class AnnouncementChange(RequestBody):
    """Changes to an announcement. Omitted fields stay as they are."""

    title: str | None = Field(None, min_length=1, max_length=120)
    text: str | None = Field(None, max_length=2000)
    tone: Tone | None = Field(None, description=_TONES)
    starts_at: Instant | None = None
    ends_at: Instant | None = Field(None, description="Null: until you end it.")


class AnnouncementOut(Schema):
    id: str
    title: str
    text: str
    tone: Tone
    starts_at: dt.datetime
    ends_at: dt.datetime | None


class AnnouncementPage(Schema):
    items: list[AnnouncementOut]
    next: str | None


@router.get("/announcements", response=AnnouncementPage, summary="List announcements")
def list_announcements(
    request: HttpRequest, query: Query[pagination.PageQuery]
) -> AnnouncementPage:
    """Every announcement, newest first, ended ones too."""
    rows = visible_announcements(actors.actor_of(request))
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    return AnnouncementPage(
        items=[_serialize_announcement(row) for row in page.items], next=page.next
    )


@router.post("/announcements", response={201: AnnouncementOut}, summary="Publish an announcement")
def create_announcement(request: HttpRequest, body: AnnouncementIn) -> Status[AnnouncementOut]:
    """Everyone who is signed in sees it from its start."""
    actor = actors.actor_of(request)
    access.require(actor, "channels.write")
    fields = body.model_dump() | {"starts_at": body.starts_at or clock.now()}
    return Status(201, _serialize_announcement(publish_announcement(actor, **fields)))


@router.get("/announcements/{id}", response=AnnouncementOut, summary="Show an announcement")
def show_announcement(request: HttpRequest, id: str) -> AnnouncementOut:
    """One announcement."""
    return _serialize_announcement(access_announcement(actors.actor_of(request), id))


@router.patch("/announcements/{id}", response=AnnouncementOut, summary="Change an announcement")
def edit_announcement(request: HttpRequest, id: str, body: AnnouncementChange) -> AnnouncementOut:
    """Whoever had closed it sees it again."""
    actor = actors.actor_of(request)
    access.require(actor, "channels.write")
    stored = access_announcement(actor, id)
    changes = body.model_dump(exclude_unset=True)
    fields = {
        name: getattr(stored, name)
        if changes.get(name) is None and (name != "ends_at" or name not in changes)
        else changes[name]
        for name in AnnouncementIn.model_fields
    }
    change_announcement(actor, stored, **fields)
    return _serialize_announcement(access_announcement(actor, id))


@router.delete("/announcements/{id}", response={204: None}, summary="End an announcement")
def remove_announcement(request: HttpRequest, id: str) -> Status[None]:
    """It is no longer shown. One that has begun stays in the list, with its end."""
    actor = actors.actor_of(request)
    access.require(actor, "channels.write")
    end_announcement(actor, access_announcement(actor, id))
    return Status(204, None)


def _serialize_announcement(row: Announcement) -> AnnouncementOut:
    fields = {name: getattr(row, name) for name in AnnouncementIn.model_fields}
    return AnnouncementOut(id=id_text(row.id), **fields)
