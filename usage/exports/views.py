"""The pages of exports: the confirmation of a long one, the list with its progress, the file."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import access
from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from accounts.preferences.table_preferences import read_table
from lib import clock
from lib.files.csv_file import stream
from lib.htmx import see_other
from lib.ids import id_text
from lib.numbers.formatting import group_digits
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import QuerySource
from lib.tables.table import Badge, Column, Table
from usage.exports import exports
from usage.exports.exports import (
    DIRECT_ROWS,
    FOCUS,
    FORMS,
    KEPT,
    LogExport,
    access_export,
    detached_of,
    filter_of,
    log_export_of,
    visible_exports,
)
from usage.exports.focus import days_of
from usage.filter_bar.filter_bar import dates_of
from usage.models import Export, ExportState
from usage.months.detached import notice_text

_BADGES = {
    ExportState.QUEUED: Badge(_("Waiting"), "info", "clock"),
    ExportState.RUNNING: Badge(_("Running"), "info", "circle-dashed"),
    ExportState.DONE: Badge(_("Ready"), "ok"),
    ExportState.FAILED: Badge(_("Failed"), "bad"),
}
_EXPIRED = Badge(_("Expired"))
_FAILURES = {
    "AccessDenied": _("You no longer have access to these requests."),
    "Interrupted": _("It was interrupted three times."),
}
EXPORTS = Table(
    "exports",
    _("Exports"),
    (
        Column("name", _("File"), card="title"),
        Column("state", _("Status"), "badge", card="first"),
        Column("period", _("Period"), priority=2),
        Column("rows", _("Rows"), "number", card="second", priority=2),
        Column("size", _("Bytes"), "number", priority=3),
        Column("expires", _("Kept until"), "time", priority=3),
        Column("created", _("Requested"), "ago", sort="id", card="last"),
    ),
    default_sort="-created",
    href="href",
    big=True,
)


@organisation_page("requests.read")
@require_safe
def export_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(EXPORTS, request, actor)
    rows = visible_exports(actor)
    unfinished = rows.filter(state__in=(ExportState.QUEUED, ExportState.RUNNING))
    context = {
        "unfinished": [_progress(export) for export in unfinished],
        "kept_days": KEPT.days,
    }
    templates = ("usage/exports/exports.html", "usage/exports/_exports.html")

    def make(rows: list[Export]) -> list[dict[str, Any]]:
        return [_export_row(actor, export) for export in rows]

    return answer_table(request, state, QuerySource(rows), templates, context, make)


def _progress(export: Export) -> dict[str, Any]:
    return {
        "name": exports.file_name(export),
        "waiting": export.state == ExportState.QUEUED,
        "done": export.done,
        # The rows were counted before; more may have been added since.
        "total": max(export.total, export.done) if export.total else None,
    }


def _export_row(actor: Actor, export: Export) -> dict[str, Any]:
    ready = exports.has_file(export)
    done = export.state == ExportState.DONE
    badge = _EXPIRED if done and not ready else _BADGES[ExportState(export.state)]
    if export.state == ExportState.FAILED:
        badge = badge._replace(hint=_FAILURES.get(export.message, export.message))
    usage_filter = filter_of(actor, export)
    first, last = usage_filter.on or dates_of(usage_filter.span, usage_filter.zone)
    id, slug = id_text(export.id), slug_of(actor)
    return {
        "id": id,
        "name": exports.file_name(export),
        "href": reverse("export_file", args=[slug, id]) if ready else "",
        "delete_url": reverse("export_delete", args=[slug, id]),
        "state": badge,
        "period": f"{first} – {last}" if first != last else f"{first}",
        "rows": export.done if done else None,
        "size": export.size if done else None,
        "expires": export.expires_at if ready else None,
        "created": export.created_at,
    }


@organisation_page("requests.read")
@require_http_methods(["GET", "HEAD", "POST"])
def export_start(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Describe a long export, with the button to start it. A short one is sent immediately."""
    query = request.GET.copy()
    form = query.get("export", "")
    if form not in FORMS:
        raise Http404
    if request.method == "POST":
        try:
            exports.start_export(actor, form, query.urlencode(), get_language() or "en")
        except Refused as refused:
            return _start_page(request, actor, form, refused.message)
        messages.success(request, gettext("Export started. We email you when the file is ready."))
        return see_other("exports", slug_of(actor))
    return _start_page(request, actor, form)


def _start_page(request: HttpRequest, actor: Actor, form: str, refused: str = "") -> HttpResponse:
    wanted = Export(form=form, query=request.GET.urlencode(), created_at=clock.now())
    detached = detached_of(actor, wanted)
    if form == FOCUS:
        description = _describe_focus(actor, wanted)
    else:
        contents = log_export_of(actor, wanted)
        if not refused and not detached and not contents.source.is_longer_than(DIRECT_ROWS):
            return redirect(f"{reverse('requests', args=[slug_of(actor)])}?{wanted.query}")
        description = _describe_log(actor, contents)
    context = {
        "refused": refused,
        "detached": notice_text(detached),
        "form": FORMS[form],
        "kept_days": KEPT.days,
        **description,
    }
    status = 422 if refused else 200
    return render(request, "usage/exports/export_start.html", context, status=status)


def _describe_log(actor: Actor, contents: LogExport) -> dict[str, Any]:
    count, usage_filter = contents.source.count(), contents.usage_filter
    return {
        "title": gettext("Export requests"),
        "rows": group_digits(count.n) if count else "",
        "dates": usage_filter.on or dates_of(usage_filter.span, usage_filter.zone),
        "columns": [column.label for column in contents.state.columns],
        "back_label": gettext("Requests"),
        "back": f"{reverse('requests', args=[slug_of(actor)])}?{usage_filter.query()}",
    }


def _describe_focus(actor: Actor, wanted: Export) -> dict[str, Any]:
    access.require(actor, exports.action_of(FOCUS))
    usage_filter = filter_of(actor, wanted)
    days = days_of(usage_filter)
    return {
        "title": gettext("Export costs"),
        "dates": dates_of(days.span, days.zone),
        "back_label": gettext("Explore usage"),
        "back": f"{reverse('explore', args=[slug_of(actor)])}?{usage_filter.query()}",
    }


@organisation_page("requests.read")
@require_safe
def export_file(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    export = access_export(actor, id)
    if not exports.has_file(export):
        raise Http404
    return file_answer(request, actor, export)


def file_answer(request: HttpRequest, actor: Actor, export: Export) -> HttpResponseBase:
    """Return the file, streamed in pieces."""
    content_type = exports.file_format(export).content_type
    answer = stream(request, exports.file_name(export), content_type, exports.pieces(actor, export))
    answer["Content-Length"] = str(export.size)
    return answer


@organisation_page("requests.read")
@require_POST
def export_delete(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    exports.delete_export(actor, access_export(actor, id))
    messages.success(request, gettext("Export deleted."))
    return see_other("exports", slug_of(actor))
