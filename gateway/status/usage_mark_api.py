"""The management API of events shown with the usage."""

import datetime as dt
from typing import Any

from django.http import HttpRequest
from ninja import Query, Router, Status
from pydantic import AwareDatetime, Field

from accounts.access import actors
from gateway.status.usage_marks import Mark, MarkKind, marks_of
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema
from lib.ids import id_text
from usage.models import ChartNote
from usage.reports import chart_notes
from usage.reports.api import FocusQuery, usage_filter_of

router = Router(tags=["Usage"])


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
    at: AwareDatetime
    text: str = Field(min_length=1, max_length=chart_notes.TEXT_MAX)
    team: str | None = Field(None, max_length=200, description="Slug. Default: for everyone.")


class AnnotationChange(RequestBody):
    """Changes to a note. Omitted fields stay as they are."""

    at: AwareDatetime | None = None
    text: str | None = Field(None, min_length=1, max_length=chart_notes.TEXT_MAX)


@router.get("/usage/annotations", response=AnnotationList, summary="List annotations")
def list_annotations(request: HttpRequest, query: Query[AnnotationQuery]) -> dict[str, Any]:
    """What happened in a period, in its order: new prices of the models you can use,
    announcements, notes of your teams; for operators also channels turned on and off."""
    usage_filter = usage_filter_of(query)
    marks = marks_of(actors.actor_of(request), usage_filter.span, usage_filter.scope)
    page = pagination.page_by_position(marks, query.limit, query.cursor)
    return {"items": [_serialize_mark(mark) for mark in page.items], "next": page.next}


@router.post("/usage/annotations", response={201: AnnotationOut}, summary="Add a note")
def add_annotation(request: HttpRequest, body: AnnotationIn) -> Status[AnnotationOut]:
    """A note on the charts of usage, for one of the teams that you administer, or for everyone."""
    note = chart_notes.add_note(actors.actor_of(request), body.at, body.text, body.team or "")
    return Status(201, AnnotationOut(**_note(note)))


@router.get("/usage/annotations/{id}", response=AnnotationOut, summary="Show a note")
def show_annotation(request: HttpRequest, id: str) -> dict[str, Any]:
    """One note that you may change."""
    return _note(chart_notes.writable_note(actors.actor_of(request), id))


@router.patch("/usage/annotations/{id}", response=AnnotationOut, summary="Change a note")
def change_annotation(request: HttpRequest, id: str, body: AnnotationChange) -> dict[str, Any]:
    """Changes the given fields."""
    actor = actors.actor_of(request)
    note = chart_notes.writable_note(actor, id)
    return _note(chart_notes.change_note(actor, note, at=body.at, text=body.text))


@router.delete("/usage/annotations/{id}", response={204: None}, summary="Delete a note")
def delete_annotation(request: HttpRequest, id: str) -> Status[None]:
    """Prices, announcements and channels cannot be deleted here."""
    actor = actors.actor_of(request)
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
