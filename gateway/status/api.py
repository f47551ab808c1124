"""The management API of announcements, for operators, and of events shown with the usage. Pages
call the same functions."""

import datetime as dt
from typing import Any, Literal

from django.db import transaction
from ninja import Query, Status
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.audit.changes import lock_row
from accounts.guards import api_auth
from gateway.models import Announcement
from gateway.status.access import access_announcement, visible_announcements
from gateway.status.announcements import change_announcement, end_announcement, publish_announcement
from gateway.status.usage_marks import Mark, MarkKind, marks_of
from lib import clock
from lib.api import pagination
from lib.api.instants import Instant
from lib.api.openapi import RequestBody, Schema
from lib.ids import id_text
from usage.filters.queries import FocusQuery, usage_filter_of
from usage.models import ChartNote
from usage.overview import chart_notes

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
def list_announcements(actor: Actor, query: Query[pagination.PageQuery]) -> AnnouncementPage:
    """Every announcement, newest first, ended ones too."""
    rows = visible_announcements(actor)
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    return AnnouncementPage(
        items=[_serialize_announcement(row) for row in page.items], next=page.next
    )


@router.post("/announcements", response={201: AnnouncementOut}, summary="Publish an announcement")
@requires("channels.write")
def create_announcement(actor: Actor, body: AnnouncementIn) -> Status[AnnouncementOut]:
    """Everyone who is signed in sees it from its start."""
    fields = body.model_dump() | {"starts_at": body.starts_at or clock.now()}
    return Status(201, _serialize_announcement(publish_announcement(actor, **fields)))


@router.get("/announcements/{id}", response=AnnouncementOut, summary="Show an announcement")
def show_announcement(actor: Actor, id: str) -> AnnouncementOut:
    """One announcement."""
    return _serialize_announcement(access_announcement(actor, id))


@router.patch("/announcements/{id}", response=AnnouncementOut, summary="Change an announcement")
@requires("channels.write")
def edit_announcement(actor: Actor, id: str, body: AnnouncementChange) -> AnnouncementOut:
    """Whoever had closed it sees it again."""
    changes = body.model_dump(exclude_unset=True)
    with transaction.atomic():
        stored = lock_row(access_announcement(actor, id))
        fields = {
            name: getattr(stored, name)
            if changes.get(name) is None and (name != "ends_at" or name not in changes)
            else changes[name]
            for name in AnnouncementIn.model_fields
        }
        change_announcement(actor, stored, **fields)
    return _serialize_announcement(access_announcement(actor, id))


@router.delete("/announcements/{id}", response={204: None}, summary="End an announcement")
@requires("channels.write")
def remove_announcement(actor: Actor, id: str) -> Status[None]:
    """It is no longer shown. One that has begun stays in the list, with its end."""
    end_announcement(actor, access_announcement(actor, id))
    return Status(204, None)


def _serialize_announcement(row: Announcement) -> AnnouncementOut:
    fields = {name: getattr(row, name) for name in AnnouncementIn.model_fields}
    return AnnouncementOut(id=id_text(row.id), **fields)


usage_mark_router = Router(tags=["Usage"])


class AnnotationOut(Schema):
    id: str | None = Field(description="Of a note.")
    at: dt.datetime
    ends_at: dt.datetime | None = Field(description="Of an announcement that ends.")
    kind: MarkKind
    text: str
    team: str | None = Field(description="Slug of the team that a note is for.")


class AnnotationList(Schema):
    items: list[AnnotationOut]
    next: str | None


class AnnotationQuery(pagination.PageQuery, FocusQuery):
    pass


class AnnotationIn(RequestBody):
    at: Instant
    text: str = Field(min_length=1, max_length=chart_notes.TEXT_MAX)
    team: str | None = Field(None, max_length=200, description="Slug. Default: for everyone.")


class AnnotationChange(RequestBody):
    """Changes to a note. Omitted fields stay as they are."""

    at: Instant | None = None
    text: str | None = Field(None, min_length=1, max_length=chart_notes.TEXT_MAX)


@usage_mark_router.get("/usage/annotations", response=AnnotationList, summary="List annotations")
def list_annotations(actor: Actor, query: Query[AnnotationQuery]) -> dict[str, Any]:
    """What happened in a period, in its order: new prices of the models you can use,
    announcements, notes of your teams; for operators also channels turned on and off."""
    usage_filter = usage_filter_of(query)
    marks = marks_of(actor, usage_filter.span, usage_filter.scope)
    page = pagination.page_by_position(marks, query.limit, query.cursor)
    return {"items": [_serialize_mark(mark) for mark in page.items], "next": page.next}


@usage_mark_router.post("/usage/annotations", response={201: AnnotationOut}, summary="Add a note")
def add_annotation(actor: Actor, body: AnnotationIn) -> Status[AnnotationOut]:
    """A note on the charts of usage, for one of the teams that you administer, or for everyone."""
    note = chart_notes.add_note(actor, body.at, body.text, body.team or "")
    return Status(201, AnnotationOut(**_note(note)))


@usage_mark_router.get("/usage/annotations/{id}", response=AnnotationOut, summary="Show a note")
def show_annotation(actor: Actor, id: str) -> dict[str, Any]:
    """One note that you may change."""
    return _note(chart_notes.writable_note(actor, id))


@usage_mark_router.patch("/usage/annotations/{id}", response=AnnotationOut, summary="Change a note")
def change_annotation(actor: Actor, id: str, body: AnnotationChange) -> dict[str, Any]:
    """Changes the given fields."""
    note = chart_notes.writable_note(actor, id)
    return _note(chart_notes.change_note(actor, note, at=body.at, text=body.text))


@usage_mark_router.delete("/usage/annotations/{id}", response={204: None}, summary="Delete a note")
def delete_annotation(actor: Actor, id: str) -> Status[None]:
    """Prices, announcements and channels cannot be deleted here."""
    chart_notes.delete_note(actor, chart_notes.writable_note(actor, id))
    return Status(204, None)


def _note(note: ChartNote) -> dict[str, Any]:
    team = note.team.slug if note.team else ""
    return _serialize_mark(Mark(note.at, "note", note.text, id=id_text(note.id), team=team))


def _serialize_mark(mark: Mark) -> dict[str, Any]:
    return {
        "id": mark.id or None,
        "at": mark.at,
        "ends_at": mark.ends_at,
        "kind": mark.kind,
        "text": mark.text,
        "team": mark.team or None,
    }
