"""The management API of a session's kept texts."""

import datetime as dt
from typing import Any, Literal

from django.http import Http404, HttpResponse
from ninja import Query
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router
from accounts.audit.audit import REASON_MAX
from content.log.lines import json_line
from content.log.session_log import BYTES_MAX, ENTRIES_MAX, read_session_log
from lib.api.openapi import Input, Schema
from lib.ids import parse_id

router = Router(tags=["Content log"])


class ReadingQuery(Input):
    """Why it is read, and in which form."""

    reason: str = Field(
        "", max_length=REASON_MAX, description="Required. Recorded in the audit log."
    )
    format: Literal["json", "jsonl"] = Field(
        "json", description="`jsonl`: one line for each request, nothing around them."
    )


class KeptRequestOut(Schema):
    request_id: str
    session_id: str | None
    created_at: dt.datetime = Field(description="When it ended.")
    model: str
    dialect: str
    operation: str
    status: int
    team: str = Field(description="Slug; empty if it was deleted.")
    key: str = Field(description="ID of the key.")
    key_name: str
    person: str | None = Field(description="Email address; null if the key has no person.")
    stream: bool
    broken: bool = Field(description="Whether the stream broke off.")
    left_out: list[Literal["request", "answer"]] = Field(
        description="The bodies that are not kept, because they could not be masked."
    )
    request: str = Field(description="The body of the request, as the client sent it.")
    answer: str = Field(
        description="The body of the answer, as the client received it; empty for an error."
    )
    error: str = Field(description="The message of an error, or empty.")
    failures: list[str] = Field(
        description="The errors of the attempts that failed before, in their order."
    )
    final: str = Field(
        description="The final state of the media task that the request began, as JSON; or empty."
    )


class KeptSessionOut(Schema):
    requests: list[KeptRequestOut] = Field(
        description=f"The oldest first. At most the newest {ENTRIES_MAX} requests, and "
        f"{BYTES_MAX >> 20} MiB of texts."
    )
    older: bool = Field(description="Whether older requests of the session are kept as well.")
    unreadable: int = Field(description="Requests whose key was destroyed.")


@router.get(
    "/content-log/sessions/{id}",
    response=KeptSessionOut,
    summary="Read the texts of a session",
    openapi_extra={
        "responses": {200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}}
    },
)
def read_kept_session(actor: Actor, id: str, query: Query[ReadingQuery]) -> Any:
    """What is kept of the requests of a session. Each reading is one event in the audit log, with
    its reason."""
    session_id = parse_id(id)
    if session_id is None:
        raise Http404
    read = read_session_log(actor, session_id, query.reason)
    if query.format == "jsonl":
        lines = b"".join(map(json_line, read.lines()))
        return HttpResponse(lines, content_type="application/x-ndjson")
    return {
        "requests": read.lines(),
        "older": read.older,
        "unreadable": read.unreadable,
    }
