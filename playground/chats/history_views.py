"""The page of all conversations (W12)."""

import datetime as dt
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    QueryDict,
    StreamingHttpResponse,
)
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from accounts.access.access import scope_of
from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from accounts.preferences.table_preferences import read_table
from lib.database.async_database import run_in_database
from lib.htmx import back_to, is_htmx, see_other, toast
from lib.ids import id_text, parse_id
from lib.refusal import Refused, check_text
from lib.tables.pages import answer_table
from lib.tables.sources import QuerySource
from lib.tables.table import Choices, Column, Filter, Table
from playground.chats import export_import, history
from playground.chats.desk import CHATS_CHANGED
from playground.chats.export_format import VERSION, write_file
from playground.chats.history import HistoryFilter
from playground.conversations.conversations import FOLDER_MAX, folders_of
from playground.models import Conversation

_WORDS_MAX = 200

HISTORY = Table(
    "chats",
    _("Chats"),
    (
        Column("title", _("Chat"), sort="title", card="title"),
        Column("model", _("Model"), sort="model", priority=2, card="second"),
        Column("folder", _("Folder"), sort="folder", priority=3),
        Column("turns", _("Turns"), "number", sort="turns", priority=3),
        Column("tokens", _("Tokens"), "number", priority=3),
        Column("cost", _("Cost"), "money", sort="charge_nano", card="money"),
        Column("updated", _("Last activity"), "ago", sort="updated_at", card="last"),
        Column("created", _("Created"), "ago", sort="created_at", chosen=False),
        Column("id", _("ID"), "code", chosen=False),
    ),
    default_sort="-updated",
    filters=(
        Filter("q", _("Titles and messages"), "search"),
        Filter("model", _("Model")),
        Filter("folder", _("Folder")),
        Filter("archived", _("Archive"), choices=(("", _("Not archived")), ("1", _("Archived")))),
    ),
    href="href",
    refresh=CHATS_CHANGED,
)
# Columns that are counted over all rows only when the list is sorted by them.
_COUNTED = ("turns", "charge_nano")


@organisation_page("playground.read")
@require_safe
def history_page(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    filters, slug = _filters(request.GET), slug_of(actor)
    choices = {
        "model": _choices(_("Any model"), filters.model, history.models_used(actor)),
        "folder": _choices(_("Any folder"), filters.folder, folders_of(actor)),
    }
    state = read_table(HISTORY, request, actor, choices=choices)
    paths = {order.path for order in state.orders}
    chats = history.annotate_figures(
        history.filter_chats(actor, filters), [name for name in _COUNTED if name in paths]
    )
    may_send = scope_of(actor, "playground.use") is not None
    query = state.query()
    context = {
        "slug": slug,
        "filters": filters,
        "folders": folders_of(actor),
        "may_send": may_send,
        "bulk_url": _address("history_change", slug, query) if may_send else "",
        "export_url": _address("history_export", slug, query),
    }
    templates = ("playground/chats/history.html", "playground/chats/_history.html")
    source = QuerySource(chats)
    return answer_table(
        request, state, source, templates, context, lambda page: _chat_rows(slug, page)
    )


def _choices(any_of_them: Any, value: str, names: Iterable[str]) -> Choices:
    """Return the available choices plus the requested one, so that a deleted folder matches no chat
    rather than all."""
    return [("", any_of_them), *((name, name) for name in dict.fromkeys((*names, value)) if name)]


def _address(name: str, slug: str, query: str) -> str:
    url = reverse(name, args=[slug])
    return f"{url}?{query}" if query else url


def _chat_rows(slug: str, chats: Sequence[Conversation]) -> list[dict[str, Any]]:
    turns, spent = history.turns_by_chat(chats), history.spent_by_chat(chats)
    running = history.running_chats(chats)
    return [
        {
            "id": id_text(chat.id),
            "href": reverse("conversation", args=[slug, id_text(chat.id)]),
            "title": chat.title,
            # The models of a comparison, or the last used model.
            "model": ", ".join(column["model"] for column in chat.columns) or chat.model,
            "folder": chat.folder,
            "turns": turns.get(chat.id, 0),
            "tokens": spent[chat.id].tokens,
            "cost": spent[chat.id].charge_nano,
            "updated": chat.updated_at,
            "created": chat.created_at,
            "pinned": chat.pinned,
            "running": chat.id in running,
        }
        for chat in chats
    ]


@organisation_page("playground.use")
@require_POST
def history_change(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Archive, delete or move the chosen conversations."""
    form, chats = request.POST, _chosen_chats(actor, request)
    action, at = form.get("act", ""), None
    if action == "archive":
        number, at = history.archive_chats(actor, chats, archived=True)
        message = ngettext("%(n)s chat archived.", "%(n)s chats archived.", number)
    elif action == "unarchive":
        number, _at = history.archive_chats(actor, chats, archived=False)
        message = ngettext("%(n)s chat unarchived.", "%(n)s chats unarchived.", number)
    elif action == "delete":
        number, at = history.delete_chats(actor, chats)
        message = ngettext("%(n)s chat deleted.", "%(n)s chats deleted.", number)
    elif action == "folder":
        try:
            folder = check_text("folder_name", form.get("folder_name", ""), FOLDER_MAX)
        except Refused as refused:
            return toast(HttpResponse(status=200), refused.message, tone="bad")
        number = history.move_chats(actor, chats, folder)
        message = ngettext("%(n)s chat moved.", "%(n)s chats moved.", number)
    else:
        raise Http404
    return _changed_response(request, actor, message % {"n": number}, at if number else None)


@organisation_page("playground.use")
@require_POST
def history_undo(request: HttpRequest, actor: Actor) -> HttpResponse:
    try:
        at = dt.datetime.fromisoformat(request.GET.get("at", ""))
    except ValueError as error:
        raise Http404 from error
    if at.tzinfo is None:
        raise Http404
    number = history.undo_changes(actor, at)
    message = ngettext("%(n)s chat restored.", "%(n)s chats restored.", number)
    return _changed_response(request, actor, message % {"n": number}, None)


@organisation_page("playground.read")
@require_POST
async def history_export(request: HttpRequest, actor: Actor) -> StreamingHttpResponse:
    """Return the chosen conversations in one file, streamed one by one."""
    chats = await run_in_database(lambda: list(_chosen_chats(actor, request)))
    response = StreamingHttpResponse(_stream_export(chats), content_type="application/json")
    response["Content-Disposition"] = 'attachment; filename="chats.json"'
    return response


async def _stream_export(chats: list[Conversation]) -> AsyncIterator[str]:
    yield f'{{"weir_chats": {VERSION}, "chats": [\n'
    for number, chat in enumerate(chats):
        document = write_file(await run_in_database(export_import.export_conversation, chat))
        yield (",\n" if number else "") + json.dumps(document, ensure_ascii=False)
    yield "\n]}\n"


def _chosen_chats(actor: Actor, request: HttpRequest) -> QuerySet[Conversation]:
    """Return the ticked conversations, or all that match the address's filters."""
    chats = history.filter_chats(actor, _filters(request.GET)).order_by("-updated_at", "-id")
    if "all" in request.POST:
        return chats
    ids = [parse_id(id) for id in request.POST.getlist("id")]
    return chats.filter(id__in=[id for id in ids if id is not None])


def _filters(query: QueryDict) -> HistoryFilter:
    def value(name: str) -> str:
        return query.get(name, "").replace("\x00", "").strip()[:_WORDS_MAX]

    return HistoryFilter(value("q"), value("folder"), value("model"), value("archived") == "1")


def _changed_response(
    request: HttpRequest, actor: Actor, message: str, at: dt.datetime | None
) -> HttpResponse:
    """Report the change with an undo button for `at`, and refresh the list."""
    slug = slug_of(actor)
    if not is_htmx(request):
        messages.success(request, message)
        return see_other(back_to(request, reverse("history", args=[slug])))
    response = HttpResponse(status=200)
    if at is None:
        return toast(response, message, event=HISTORY.refresh)
    undo = _address("history_undo", slug, urlencode({"at": at.isoformat()}))
    return toast(response, message, gettext("Undo"), undo, event=HISTORY.refresh)
