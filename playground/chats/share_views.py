"""Share links: created and revoked by their author, opened by anybody who has one (W14)."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_POST, require_safe

from accounts.access.actors import Actor, slug_of
from accounts.access.guards import organisation_page, public
from accounts.models import User
from lib.htmx import is_htmx, render_dialog
from lib.ids import id_text
from playground.chats import sharing
from playground.chats.conversations import access_conversation
from playground.models import Conversation
from playground.rendering import page
from playground.rendering.markdown import render_whole


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
