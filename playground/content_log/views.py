"""What the content log keeps of a request or of a session, for its readers. Showing it is a POST
with a reason, so that no link, reload or prefetch reads it, and each reading is in the audit log.
"""

from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access.access import AccessDenied, scope_of
from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from content.access import access_entry
from content.log.conversation import exchange_of
from content.log.kept import Kept
from content.log.lines import json_line, line_of
from content.log.log import read_entry
from content.log.names import names_of
from content.log.session_log import read_session_log, session_entries
from content.log.story import fold_story
from content.models import Entry
from lib.htmx import redirect_to
from lib.ids import id_text, parse_id
from lib.refusal import Refused
from playground.content_log.articles import Articles, bodies_of, instructions_of, remarks_of
from playground.content_log.curl import curl_command
from playground.content_log.opening import last_question, open_in_playground
from playground.content_log.story_page import story_context
from playground.messages.page import conversation_url
from usage.log.log_views import status_badge
from usage.log.reading_form import ReasonForm
from usage.log.receipt_context import receipt_context
from usage.requests import receipts
from usage.sessions.sessions import SessionRow, read_session

_JSON_LINES: Final = "application/x-ndjson"


@organisation_page("content.read")
@require_http_methods(["GET", "HEAD", "POST"])
def request_conversation(request: HttpRequest, actor: Actor, rid: str) -> HttpResponse:
    entry = access_entry(actor, _id_of(rid))
    form = ReasonForm(request.POST if request.method == "POST" else None)
    context: dict[str, Any] = {}
    if form.is_valid():
        reason = form.cleaned_data["reason"]
        try:
            entry, kept = read_entry(actor, entry.request_id, reason)
        except Refused as refused:
            refused.add_to(form)
        else:
            if request.POST.get("file") == "lines":
                line = json_line(line_of(entry, kept, names_of([entry])))
                return _file(f"content-{rid}.jsonl", _JSON_LINES, line)
            if request.POST.get("file") == "body":
                return _file(_body_name(rid), "application/octet-stream", kept.request)
            context = {"reason": reason, **_texts(actor, entry, kept)}
    return _request_page(request, actor, entry, form, context)


@organisation_page("content.read")
@require_POST
def request_open(request: HttpRequest, actor: Actor, rid: str) -> HttpResponseBase:
    """Open a kept request as a new chat of its reader. Its last question is in the composer."""
    entry = access_entry(actor, _id_of(rid))
    form = ReasonForm(request.POST)
    if form.is_valid():
        try:
            chat = open_in_playground(actor, entry.request_id, form.cleaned_data["reason"])
        except Refused as refused:
            refused.add_to(form)
        else:
            url = conversation_url(slug_of(actor), id_text(chat.id))
            question = last_question(chat)
            return redirect_to(request, f"{url}?edit={question.text_id}" if question else url)
    return _request_page(request, actor, entry, form, {})


@organisation_page("content.read")
@require_http_methods(["GET", "HEAD", "POST"])
def session_conversation(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    session_id = _id_of(id)
    if not session_entries(actor, session_id).exists():
        raise Http404
    form = ReasonForm(request.POST if request.method == "POST" else None)
    row = _session(actor, session_id)
    context: dict[str, Any] = {
        "id": id,
        "row": row,
        "name": (row.name if row else "") or id,
        "reason_form": form,
        "reading_url": reverse("session_conversation", args=[slug_of(actor), id]),
    }
    if form.is_valid():
        reason = form.cleaned_data["reason"]
        try:
            read = read_session_log(actor, session_id, reason)
        except Refused as refused:
            refused.add_to(form)
        else:
            if "file" in request.POST:
                lines = b"".join(map(json_line, read.lines()))
                return _file(f"session-{id}.jsonl", _JSON_LINES, lines)
            context |= {"reason": reason, **story_context(actor, session_id, read)}
    template = "playground/content_log/session.html"
    return _private(render(request, template, context, status=422 if form.errors else 200))


def _id_of(text: str) -> UUID:
    id = parse_id(text)
    if id is None:
        raise Http404
    return id


def _request_page(
    request: HttpRequest, actor: Actor, entry: Entry, form: ReasonForm, context: dict[str, Any]
) -> HttpResponse:
    rid = id_text(entry.request_id)
    context |= {
        "rid": rid,
        "entry": entry,
        "sid": id_text(entry.session_id) if entry.session_id else "",
        "badge": status_badge(entry.status, None),
        "reason_form": form,
        "reading_url": reverse("request_conversation", args=[slug_of(actor), rid]),
        **_receipt(actor, rid),
    }
    template = "playground/content_log/conversation.html"
    return _private(render(request, template, context, status=422 if form.errors else 200))


def _receipt(actor: Actor, rid: str) -> dict[str, Any]:
    """Return what the receipt shows, nothing for a reader who may not see the request."""
    try:
        detail = receipts.request_detail(actor, rid)
    except (AccessDenied, Http404):
        return {}
    visible = detail if actor.operator else receipts.hide_channel_names(detail)
    # The postings are on the page of the request, where there is room for them.
    return {**receipt_context(visible), "posted": False}


def _session(actor: Actor, session_id: UUID) -> SessionRow | None:
    try:
        return read_session(actor, session_id)
    except (AccessDenied, Http404):
        return None


def _texts(actor: Actor, entry: Entry, kept: Kept) -> dict[str, Any]:
    command = curl_command(
        settings.PUBLIC_URL,
        entry.operation,
        entry.model,
        kept.request,
        stream=kept.stream,
        file=_body_name(id_text(entry.request_id)),
    )
    same = {
        "opened": True,
        "command": _attribute(command.text) if command else "",
        "command_file": command.file if command else "",
    }
    facts = {"error": kept.error, "remarks": remarks_of(kept)}
    exchange = exchange_of(kept, entry.dialect, entry.model)
    if exchange is None:
        return same | {"texts": facts | {"bodies": list(bodies_of(kept, "kept"))}}
    articles, (step,) = Articles(), fold_story([exchange])
    return same | {
        "may_open": scope_of(actor, "playground.use") is not None,
        "texts": facts
        | {
            "instructions": instructions_of(step.instructions),
            "articles": articles.of(step.asked),
            "answers": [articles.of(answer) for answer in step.answered],
        },
    }


def _attribute(text: str) -> SafeString:
    """Return a text for an attribute. HTML would turn carriage returns into line feeds."""
    return mark_safe(str(escape(text)).replace("\r", "&#13;"))  # noqa: S308 - it is escaped


def _body_name(rid: str) -> str:
    return f"request-{rid}.json"


def _file(name: str, content_type: str, data: bytes) -> HttpResponse:
    response = HttpResponse(data, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return _private(response)


def _private(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "private, no-store"
    return response
