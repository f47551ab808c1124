"""The management API of exports: requests or costs as a file that a worker creates."""

import datetime as dt
from typing import Final, Literal

from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import get_language
from ninja import Query, Status
from ninja.errors import HttpError
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router
from billing.currency.answers import answer_of
from lib.api import pagination
from lib.api.openapi import Schema, also_answers
from usage.exports import exports
from usage.exports.views import file_answer
from usage.filters import filters
from usage.filters.queries import FocusQuery, usage_filter_of
from usage.models import Export
from usage.requests.columns import REQUESTS

router = Router(tags=["Exports"])
_OF_REQUESTS: Final = {"status", "columns", "sort"}


class ExportIn(FocusQuery):
    """Which requests or costs to export, in which columns and file format."""

    format: Literal["csv", "jsonl", "xlsx", "parquet", "focus"] = Field(
        "csv",
        description="`focus`: daily costs by key and model as CSV, in the columns of the FinOps "
        "Open Cost and Usage Specification; the others: requests.",
    )
    status: filters.Status | None = None
    columns: list[str] = Field(
        default_factory=list,
        max_length=50,
        description="In their order. Default: those of the page. Available: "
        + ", ".join(f"`{column.name}`" for column in REQUESTS.columns)
        + "; `channel` for operators.",
    )
    sort: Literal["time", "-time", "cost", "-cost"] = Field(
        "-time", description="`-` sorts in descending order."
    )


class ExportOut(Schema):
    id: str
    file: str = Field(description="The file's name.")
    state: Literal["queued", "running", "done", "failed", "expired"]
    rows: int = Field(description="Rows written so far.")
    total: int | None = Field(description="About how many there will be; null if unknown.")
    size: int = Field(description="Bytes of the file, when it is done.")
    created_at: dt.datetime
    ended_at: dt.datetime | None
    expires_at: dt.datetime | None = Field(description="Until when the file is kept.")
    detached_months: list[str] = Field(
        description="Months, such as 2026-09, whose requests the file lacks: an operator detached "
        "them."
    )


class ExportList(Schema):
    items: list[ExportOut]
    next: str | None


@router.post("/exports", response={201: ExportOut}, summary="Start an export")
def start_export(actor: Actor, body: ExportIn) -> Status[ExportOut]:
    """Requests, or costs as FOCUS, as a file, made in the background and kept for 7 days.

    Default: the last 30 days. At most 3 exports of yours can be in progress.
    """
    usage_filter = usage_filter_of(body)
    known = {column.name for column in REQUESTS.columns}
    if body.format == exports.FOCUS and body.model_fields_set & _OF_REQUESTS:
        raise HttpError(422, "FOCUS has no status, columns or sort.")
    unknown = [name for name in body.columns if name not in known]
    if unknown:
        raise HttpError(422, f"There is no column {unknown[0]}.")
    query = usage_filter.query(
        status=body.status, cols=",".join(body.columns) or None, sort=body.sort
    )
    if body.format == exports.FOCUS:
        query = usage_filter.query()
    export = exports.start_export(actor, body.format, query, get_language() or "en")
    return Status(201, _serialize_export(export))


@router.get("/exports", response=ExportList, summary="List exports")
def list_exports(actor: Actor, query: Query[pagination.PageQuery]) -> ExportList:
    """Your exports of the last 30 days, newest first."""
    exports_visible = exports.visible_exports(actor)
    page = pagination.page_by_id(exports_visible, query.limit, query.cursor)
    return ExportList(items=[_serialize_export(export) for export in page.items], next=page.next)


@router.get("/exports/{id}", response=ExportOut, summary="Show an export")
def show_export(actor: Actor, id: str) -> ExportOut:
    """Its state. Ask again every few seconds until it is `done`."""
    return _serialize_export(exports.access_export(actor, id))


@router.get(
    "/exports/{id}/file",
    response={200: bytes},
    summary="Download an export",
    openapi_extra=also_answers(409),
)
def download_export(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    """The file. 409 while it is made, and after it has expired."""
    export = exports.access_export(actor, id)
    if not exports.has_file(export):
        raise HttpError(409, f"The export has no file: it is {_state(export)}.")
    return file_answer(request, actor, export)


@router.delete("/exports/{id}", response={204: None}, summary="Delete an export")
def delete_export(actor: Actor, id: str) -> Status[None]:
    """Deletes the file, or stops making it."""
    exports.delete_export(actor, exports.access_export(actor, id))
    return Status(204, None)


def _state(export: Export) -> Literal["queued", "running", "done", "failed", "expired"]:
    if export.state == "done" and not exports.has_file(export):
        return "expired"
    return export.state  # type: ignore[return-value]


def _serialize_export(export: Export) -> ExportOut:
    return answer_of(
        ExportOut,
        export,
        file=exports.file_name(export),
        state=_state(export),
        rows=export.done,
        detached_months=export.detached_months or [],
    )
