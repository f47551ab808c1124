"""The management API of what happened beside the usage."""

import datetime as dt
from typing import Any

from django.http import HttpRequest
from ninja import Query, Router, Status
from pydantic import AwareDatetime, ConfigDict, Field

from accounts import actors
from gateway.usage_marks import Mark, MarkKind, marks_of
from lib.ids import id_text
from lib.openapi import Schema
from usage import chart_notes
from usage.api import FocusQuery, usage_filter_of

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


class AnnotationIn(Schema):
    model_config = ConfigDict(extra="forbid")

    at: AwareDatetime
    text: str = Field(min_length=1, max_length=chart_notes.TEXT_MAX)
    team: str | None = Field(None, max_length=200, description="Slug. Default: for everyone.")


@router.get("/usage/annotations", response=AnnotationList, summary="List annotations")
def list_annotations(request: HttpRequest, query: Query[FocusQuery]) -> dict[str, Any]:
    """What happened in a period, in its order: new prices of the models you can use,
    announcements, notes of your teams; for operators also channels turned on and off."""
    usage_filter = usage_filter_of(query)
    marks = marks_of(actors.actor_of(request), usage_filter.span, usage_filter.scope)
    return {"items": [_shown(mark) for mark in marks]}


@router.post("/usage/annotations", response={201: AnnotationOut}, summary="Add a note")
def add_annotation(request: HttpRequest, body: AnnotationIn) -> Status[dict[str, Any]]:
    """A note on the charts of usage, for one of the teams that you administer, or for everyone."""
    note = chart_notes.add_note(actors.actor_of(request), body.at, body.text, body.team or "")
    mark = Mark(note.at, "note", note.text, id=id_text(note.id), team=body.team or "")
    return Status(201, _shown(mark))


@router.delete("/usage/annotations/{id}", response={204: None}, summary="Delete a note")
def delete_annotation(request: HttpRequest, id: str) -> Status[None]:
    """Prices, announcements and channels cannot be deleted here."""
    actor = actors.actor_of(request)
    chart_notes.delete_note(actor, chart_notes.writable_note(actor, id))
    return Status(204, None)


def _shown(mark: Mark) -> dict[str, Any]:
    return {
        "id": mark.id or None,
        "at": mark.at,
        "ends_at": mark.ends_at,
        "kind": mark.kind,
        "text": mark.text,
        "team": mark.team or None,
    }
