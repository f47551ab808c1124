"""The conversation of one request, for readers of the content log. Showing it is a POST with a
reason, so that no link, reload or prefetch reads it, and each reading is in the audit log."""

import json
from typing import Any, Final

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from django.views.decorators.http import require_POST

from accounts.access.access import scope_of
from accounts.access.actors import Actor
from accounts.audit.audit import REASON_MAX
from accounts.guards.guards import organisation_page
from content.access import access_entry, visible_entries
from content.log.conversation import Turn, conversation_of
from content.log.kept import Kept
from content.log.log import read_entry
from content.models import Entry
from lib.htmx import render_part
from lib.ids import id_text, parse_id
from lib.refusal import Refused

_ROLES: Final[dict[str, Promise]] = {
    "system": pgettext_lazy("who said it", "System"),
    "developer": pgettext_lazy("who said it", "Developer"),
    "user": pgettext_lazy("who said it", "User"),
    "assistant": pgettext_lazy("who said it", "Answer"),
    "tool": pgettext_lazy("who said it", "Tool"),
}


class ReasonForm(forms.Form):
    """Why somebody reads."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=REASON_MAX,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_("Your name, the request and the reason are recorded in the audit log."),
    )


@organisation_page("content.read")
@require_POST
def request_conversation(request: HttpRequest, actor: Actor, rid: str) -> HttpResponse:
    request_id = parse_id(rid)
    if request_id is None:
        raise Http404
    entry = access_entry(actor, request_id)
    form = ReasonForm(request.POST)
    context: dict[str, Any] = {"rid": rid, "reason_form": form, "entry": entry}
    if form.is_valid():
        try:
            entry, kept = read_entry(actor, request_id, form.cleaned_data["reason"])
        except Refused as refused:
            refused.add_to(form)
        else:
            if "file" in request.POST:
                return _file(rid, entry, kept)
            context |= _texts(entry, kept)
    response = render_part(
        request,
        "usage/requests/conversation.html",
        "usage/requests/_conversation.html",
        context,
        status=422 if form.errors else 200,
    )
    response["Cache-Control"] = "private, no-store"
    return response


def conversation_context(actor: Actor, rid: str) -> dict[str, Any]:
    """Return what the page of a request has for readers: whether the conversation is kept. Nothing
    for all others."""
    request_id = parse_id(rid)
    if request_id is None or scope_of(actor, "content.read") is None:
        return {}
    entry = visible_entries(actor).filter(request_id=request_id).defer("sealed").first()
    return {"reads_contents": True, "entry": entry, "reason_form": ReasonForm()}


def _texts(entry: Entry, kept: Kept) -> dict[str, Any]:
    turns = conversation_of(kept, entry.dialect, entry.model)
    if turns is None:
        return {"opened": True, "bodies": _bodies(kept)}
    return {"opened": True, "turns": [_turn(turn) for turn in turns], "error": kept.error}


def _turn(turn: Turn) -> dict[str, Any]:
    return {"role": turn.role, "title": _ROLES.get(turn.role, turn.role), "pieces": turn.pieces}


def _bodies(kept: Kept) -> list[tuple[str, Promise, str]]:
    """Return the bodies of a request that is no chat, as far as they are text."""
    return [
        ("request", _("Request"), kept.request.decode(errors="replace")),
        ("answer", _("Answer"), kept.answer.decode(errors="replace") or kept.error),
    ]


def _file(rid: str, entry: Entry, kept: Kept) -> HttpResponse:
    """Return the entry as one line of JSON: what is known of the request, and both bodies."""
    line = {
        "request_id": id_text(entry.request_id),
        "created_at": entry.created_at.isoformat(),
        "model": entry.model,
        "dialect": entry.dialect,
        "status": entry.status,
        "stream": kept.stream,
        "request": kept.request.decode(errors="replace"),
        "answer": kept.answer.decode(errors="replace"),
        "error": kept.error,
    }
    response = HttpResponse(
        json.dumps(line, ensure_ascii=False) + "\n", content_type="application/x-ndjson"
    )
    response["Content-Disposition"] = f'attachment; filename="content-{rid}.jsonl"'
    response["Cache-Control"] = "private, no-store"
    return response
