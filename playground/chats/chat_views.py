"""The list of conversations: search, names, folders, pins, archive, files. Share links: created and
revoked by their author, opened by anybody who has one (W14)."""

import json
import re
from urllib.parse import quote

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import Resolver404, resolve, reverse
from django.utils.safestring import mark_safe
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page, public
from accounts.models import User
from lib.htmx import is_htmx, page_address, redirect_to, render_dialog, toast
from lib.ids import id_text, parse_id
from lib.refusal import Refused
from playground.chats import export_import, sharing
from playground.chats.desk import CHATS_CHANGED, list_context
from playground.chats.export_format import IMPORT_BYTES_MAX, Unusable, write_file
from playground.conversations.conversations import (
    access_conversation,
    change_conversation,
    delete_conversation,
    folders_of,
    restore_conversation,
)
from playground.conversations.temporary_chats import record_visit
from playground.messages import page
from playground.models import Conversation
from playground.panel.json_text import InvalidJson, parse_json
from playground.rendering.markdown import render_whole
from playground.turns.form import form_values


@organisation_page("playground.read")
@require_safe
def chats(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the list of conversations that match the search."""
    query = request.GET
    context = list_context(
        actor,
        _open_chat(request),
        query.get("q", "").replace("\x00", "")[:200],
        archived="archived" in query,
    )
    context["slug"] = slug_of(actor)
    return render(request, "playground/chats/_chats.html", context)


@organisation_page("playground.use")
@require_POST
def chat_change(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    form = form_values(request.POST)
    conversation = access_conversation(actor, id)
    try:
        change_conversation(
            conversation,
            title=request.POST.get("title"),
            folder=request.POST.get("folder"),
            pinned=form["pinned"] == "1" if "pinned" in form else None,
            archived=form["archived"] == "1" if "archived" in form else None,
        )
    except Refused as refused:
        return toast(HttpResponse(status=422), refused.message, tone="bad")
    return _list_response(request, actor, conversation)


@organisation_page("playground.use")
@require_POST
def chat_delete(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    conversation = access_conversation(actor, id)
    delete_conversation(conversation)
    slug = slug_of(actor)
    response = _list_response(request, actor, None)
    restore = reverse("chat_restore", args=[slug, id])
    text, undo = gettext("Chat deleted."), gettext("Undo")
    return toast(response, text, undo, restore, event=CHATS_CHANGED)


@organisation_page("playground.use")
@require_POST
def chat_restore(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    conversation = access_conversation(actor, id, deleted=True)
    restore_conversation(conversation)
    return _list_response(request, actor, conversation)


@organisation_page("playground.use")
@require_safe
def chat_rename(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Show a form field for a conversation's name, in place of its row."""
    conversation = access_conversation(actor, id)
    context = {
        "chat_id": id_text(conversation.id),
        "title": conversation.title,
        "slug": slug_of(actor),
    }
    return render(request, "playground/chats/_chat_rename.html", context)


@organisation_page("playground.use")
@require_POST
def chat_visit(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Record that the page of a temporary conversation is still open, or was left."""
    conversation = access_conversation(actor, id, temporary=True)
    record_visit(conversation, parse_id(request.POST.get("visit", "")), left="left" in request.POST)
    return HttpResponse(status=204)


@organisation_page("playground.read")
@require_safe
def chat_menu(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Show the actions for a conversation."""
    conversation = access_conversation(actor, id)
    context = {
        "chat": conversation,
        "chat_id": id_text(conversation.id),
        "slug": slug_of(actor),
        "title_request": (
            id_text(conversation.title_request_id) if conversation.title_request_id else ""
        ),
        "open_chat": _open_chat(request),
        "folders": folders_of(actor),
    }
    return render(request, "playground/chats/_chat_menu.html", context)


@organisation_page("playground.read")
@require_safe
def chat_export(request: HttpRequest, actor: Actor, id: str, form: str) -> HttpResponse:
    conversation = access_conversation(actor, id)
    if form == "md":
        body, kind = export_import.markdown_of(conversation), "text/markdown; charset=utf-8"
    else:
        document = write_file(export_import.export_conversation(conversation))
        body, kind = json.dumps(document, ensure_ascii=False, indent=1), "application/json"
    response = HttpResponse(body, content_type=kind)
    name = quote(f"{conversation.title[:60]}.{form}", safe="")
    response["Content-Disposition"] = (
        f"attachment; filename=\"chat.{form}\"; filename*=UTF-8''{name}"
    )
    return response


@organisation_page("playground.use")
@require_POST
def chat_import(request: HttpRequest, actor: Actor) -> HttpResponse:
    upload = request.FILES.get("chat")
    slug = slug_of(actor)
    if upload is None or upload.size is None:
        return toast(HttpResponse(status=200), gettext("Choose a file."), tone="bad")
    try:
        if upload.size > IMPORT_BYTES_MAX:
            raise Unusable(
                "/", gettext("it is larger than %(n)s MB") % {"n": IMPORT_BYTES_MAX >> 20}
            )
        imported = export_import.import_conversations(
            actor, parse_json(upload.read().decode("utf-8"))
        )
    except (Unusable, InvalidJson, UnicodeDecodeError) as error:
        message = gettext("The file could not be imported: %(reason)s") % {"reason": error}
        return toast(HttpResponse(status=200), message, tone="bad")
    if len(imported) == 1:
        url = page.conversation_url(slug, id_text(imported[0].id))
    else:
        url = reverse("history", args=[slug])
        messages.success(request, gettext("%(n)s chats imported.") % {"n": len(imported)})
    return redirect_to(request, url)


def _list_response(
    request: HttpRequest, actor: Actor, conversation: Conversation | None
) -> HttpResponse:
    slug = slug_of(actor)
    if not is_htmx(request):
        url = page.conversation_url(slug, id_text(conversation.id)) if conversation else None
        return redirect(url or reverse("playground", args=[slug]))
    context = {}
    if conversation is not None and id_text(conversation.id) == _open_chat(request):
        context["renamed"] = conversation.title
    response = render(request, "playground/chats/_listed.html", context)
    response["HX-Trigger"] = CHATS_CHANGED
    return response


def _open_chat(request: HttpRequest) -> str:
    """Return the id of the conversation that is open next to the list, from the page address that
    htmx sends."""
    try:
        match = resolve(re.split("[?#]", page_address(request))[0])
    except Resolver404:
        return ""
    id = parse_id(match.kwargs["id"]) if match.url_name == "conversation" else None
    return id_text(id) if id else ""


@organisation_page("playground.use")
@require_safe
def share(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    return _dialog(request, actor, access_conversation(actor, id))


@organisation_page("playground.use")
@require_POST
def share_create(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    conversation = access_conversation(actor, id)
    form = request.POST
    _, token = sharing.share_branch(
        actor,
        conversation,
        days=sharing.DAYS.get(form.get("days", "7"), 7),
        members_only=form.get("who") == "members",
        system_shown="hide_system" not in form,
        cost_shown="hide_cost" not in form,
    )
    url = request.build_absolute_uri(reverse("shared", args=[token]))
    response = _dialog(request, actor, conversation, url)
    response["Cache-Control"] = "no-store"
    return response


@organisation_page("playground.use")
@require_POST
def share_revoke(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    conversation = sharing.revoke_link(actor, id)
    if not is_htmx(request):
        return redirect("share", slug_of(actor), id_text(conversation.id))
    return _dialog(request, actor, conversation)


def _dialog(
    request: HttpRequest, actor: Actor, conversation: Conversation, url: str = ""
) -> HttpResponse:
    context = {
        "conversation": conversation,
        "chat_id": id_text(conversation.id),
        "slug": slug_of(actor),
        "links": [(id_text(link.id), link) for link in sharing.links_of(actor, conversation)],
        "made_url": url,
    }
    return render_dialog(request, "playground/chats/share.html", context)


@public
@require_safe
def show_shared_chat(request: HttpRequest, token: str) -> HttpResponse:
    user = request.user if isinstance(request.user, User) else None
    try:
        link = sharing.open_link(token, user)
    except sharing.Gone:
        return render(request, "playground/chats/shared_gone.html", status=410)
    labels = page.answer_labels().markdown
    turns = [
        {
            **turn,
            "blocks": mark_safe(  # noqa: S308 - behind the sanitiser
                render_whole(turn["content"], labels, f"shared-{number}", structured="json" in turn)
            ),
        }
        for number, turn in enumerate(link.snapshot["turns"])
    ]
    context = {"snapshot": link.snapshot, "turns": turns, "link": link}
    response = render(request, "playground/chats/shared.html", context)
    response["X-Robots-Tag"] = "noindex, nofollow"
    response["Cache-Control"] = "private, no-store"
    return response
