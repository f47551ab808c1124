"""The management API that searches the content log. The page calls the same functions."""

import datetime as dt
from typing import Literal

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.audit.audit import REASON_MAX
from content.log import log
from content.log.names import names_of
from content.models import Entry
from lib.api.openapi import RequestBody, Schema
from lib.api.pagination import BadCursor
from lib.ids import id_text
from lib.tables import keyset
from usage.contents.contents import entries_among, entries_of
from usage.contents.views import content_file
from usage.filters.filters import Scope, read_id
from usage.filters.queries import Dated, Email, Id, Model, period_of

router = Router(tags=["Content log"])


class ContentFilter(RequestBody, Dated):
    """Which requests to look at, and why. Several values of a field match any of them."""

    reason: str = Field(
        max_length=REASON_MAX, description="The audit log has it, with your name and the text."
    )
    model: list[Model] = Field(default_factory=list, max_length=20, description="Model names.")
    key: list[Id] = Field(default_factory=list, max_length=20, description="IDs of keys.")
    user: list[Email] = Field(default_factory=list, max_length=20, description="Email addresses.")
    team: list[Model] = Field(default_factory=list, max_length=20, description="Slugs of teams.")
    status: Literal["ok", "error", "stopped"] | None = None
    session: Id | None = Field(None, description="ID of the session.")
    cursor: str | None = Field(None, description="`next` of the previous answer or file.")


class ContentSearch(ContentFilter):
    """A text to search for. It is compared without regard to case."""

    text: str = Field(min_length=1, max_length=REASON_MAX)


class ContentDownload(ContentFilter):
    """Which contents to download."""

    text: str | None = Field(
        None, max_length=REASON_MAX, description="Only requests that contain this text."
    )


class ContentHit(Schema):
    request_id: str
    session_id: str | None
    created_at: dt.datetime
    team: str = Field(description="Slug; empty if it was deleted.")
    key: str = Field(description="ID of the key.")
    key_name: str
    person: str | None = Field(description="Email address; null if the key has no person.")
    model: str
    status: int
    before: str = Field(description="The text before the match, cut.")
    match: str = Field(description="What matches, as it is written there.")
    after: str = Field(description="The text after the match, cut.")


class ContentHits(Schema):
    items: list[ContentHit] = Field(description="Newest first.")
    looked_at: int = Field(description="How many requests were opened.")
    back_to: dt.datetime | None = Field(description="How far back it looked.")
    next: str | None = Field(description="To look further; null if there are no more.")


@router.post("/content-log/search", response=ContentHits, summary="Search the content log")
@requires("content.read")
def search_contents(actor: Actor, body: ContentSearch) -> ContentHits:
    """Opens the newest requests of the filter until it has looked at 2,000, at 64 MiB, or has 50
    hits, or until it has passed 200,000 of the period. Each call is an event of the audit log. No
    built-in role may do this, only custom roles with `content.read`."""
    try:
        result = log.search(
            actor, _entries(actor, body), body.text, body.reason, body.cursor or "",
            among=entries_among(actor, period_of(body), _scope(body)),
        )  # fmt: skip
    except keyset.BadCursor:
        raise BadCursor from None
    names = names_of(hit.entry for hit in result.hits)
    items = [
        ContentHit(
            request_id=id_text(entry.request_id),
            session_id=id_text(entry.session_id) if entry.session_id else None,
            created_at=entry.created_at,
            model=entry.model,
            status=entry.status,
            **names.of(entry)._asdict(),
            **excerpt._asdict(),
        )
        for entry, excerpt in result.hits
    ]
    return ContentHits(
        items=items, looked_at=result.looked_at, back_to=result.back_to, next=result.next
    )


@router.post(
    "/content-log/download",
    response={200: str},
    summary="Download the content log",
    openapi_extra={
        "responses": {200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}}
    },
)
@requires("content.read")
def download_contents(
    request: HttpRequest, actor: Actor, body: ContentDownload
) -> HttpResponseBase:
    """JSON Lines: at most 10,000 requests or 256 MiB, newest first, with what was asked and
    answered. The last line, `{"next": …}`, has the cursor of the next file, or null. A file without
    it is incomplete. Each file is an event of the audit log. Texts whose key was destroyed are left
    out."""
    try:
        lines = log.download(
            actor, _entries(actor, body), body.reason, body.text or "", body.cursor or "",
            among=entries_among(actor, period_of(body), _scope(body)),
        )  # fmt: skip
    except keyset.BadCursor:
        raise BadCursor from None
    return content_file(request, lines)


def _entries(actor: Actor, body: ContentFilter) -> QuerySet[Entry]:
    return entries_of(actor, period_of(body), _scope(body))


def _scope(body: ContentFilter) -> Scope:
    return Scope(
        models=tuple(body.model),
        keys=tuple(read_id(key) for key in body.key),
        users=tuple(body.user),
        teams=tuple(body.team),
        status=body.status,
        session_id=read_id(body.session) if body.session else None,
    )
