"""The playground's chat: its page, Send, the stream of an answer, Stop (W10)."""

from typing import Any, cast

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST, require_safe

from accounts import access
from accounts.access import Actor, organisation_page
from gateway.relay.call import Outcome
from lib.ids import id_text, new_id, parse_id
from playground import page, runs
from playground.bell import bell
from playground.conversations import (
    Asked,
    ConversationBusy,
    Turn,
    TurnRefused,
    access_conversation,
    access_run,
    ask_to_stop,
    begin_turn,
    chats_shown,
    latest_path,
    may_still_read,
    organisation_of,
    running_conversations,
    written_so_far,
)
from playground.database import in_database
from playground.models import Conversation, Message, RunState
from playground.offer import offered_models
from playground.stream import stream_events


@organisation_page("playground.read")
@require_safe
def playground(request: HttpRequest, actor: Actor) -> HttpResponse:
    context = {"text": request.GET.get("text", ""), "asked_model": request.GET.get("m", "")}
    return _page(request, actor, None, context)


@organisation_page("playground.read")
@require_safe
def conversation(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    return _page(request, actor, access_conversation(actor, id), {})


@organisation_page("playground.use")
@require_POST
async def run_create(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    try:
        turn = await in_database(_begin, request, actor)
    except TurnRefused as refused:
        status = 409 if isinstance(refused, ConversationBusy) else 422
        return await in_database(_refused, request, actor, refused.message, status)
    if turn.fresh:
        outcome = await runs.start(turn, actor, _relay(request))
        if outcome is not None:
            return await in_database(_refused_by_relay, request, actor, outcome)
    return await in_database(_begun, request, actor, turn)


@organisation_page("playground.read")
@require_GET
async def run_events(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    run = await in_database(access_run, actor, id)
    # A page that comes back names the last event that it has seen.
    seen = request.headers.get("last-event-id", "") or request.GET.get("after", "")
    after = int(seen) if seen.isascii() and seen.isdecimal() and len(seen) < 10 else 0

    async def may_read() -> bool:
        return await in_database(may_still_read, actor)

    slug = _slug(actor)
    response = StreamingHttpResponse(
        stream_events(run, after, slug, may_read=may_read), content_type="text/event-stream"
    )
    response["X-Accel-Buffering"] = "no"
    return response


@organisation_page("playground.use")
@require_POST
async def run_stop(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    run = await in_database(access_run, actor, id)
    await in_database(ask_to_stop, run)
    bell().ring(run.id)
    if getattr(request, "htmx", None):
        return await in_database(render, request, "playground/_stopping.html")
    response = redirect("conversation", _slug(actor), id_text(run.conversation_id))
    response.status_code = 303
    return response


# Send -------------------------------------------------------------------------------------------


def _begin(request: HttpRequest, actor: Actor) -> Turn:
    sent = request.POST
    conversation_id = sent.get("conversation", "")
    model = sent.get("model", "")
    if model not in {offered.name for offered in offered_models(organisation_of(actor))}:
        raise TurnRefused("model", gettext("Choose a model."))
    return begin_turn(
        actor,
        Asked(
            model=model,
            # A form sends its newlines as two signs; the model gets what was typed.
            text=sent.get("text", "").replace("\r\n", "\n"),
            token=parse_id(sent.get("token", "")) or new_id(),
            conversation=access_conversation(actor, conversation_id) if conversation_id else None,
            retry=parse_id(sent.get("retry", "")),
        ),
    )


def _begun(request: HttpRequest, actor: Actor, turn: Turn) -> HttpResponse:
    slug = _slug(actor)
    url = page.conversation_url(slug, id_text(turn.conversation.id))
    if not getattr(request, "htmx", None):
        response: HttpResponse = redirect(url)
        response.status_code = 303
        return response
    run = access_run(actor, turn.run.text_id)
    running = run.state == RunState.RUNNING
    context = {
        **page.composer_context(slug, turn.conversation, run if running else None),
        **_models_context(actor, turn.conversation.model),
        "articles": _articles([run.user_message, run.assistant_message], slug),
        "retried": run.text_id if "retry" in request.POST else "",
        "model": run.model,
        **_list_context(actor, turn.conversation),
    }
    response = render(request, "playground/_begun.html", context)
    response["HX-Push-Url"] = url
    return response


def _refused_by_relay(request: HttpRequest, actor: Actor, outcome: Outcome) -> HttpResponse:
    return _refused(request, actor, page.refusal_text(outcome), 422, id_text(outcome.request_id))


def _refused(
    request: HttpRequest, actor: Actor, error: str, status: int, request_id: str = ""
) -> HttpResponse:
    """The composer with the reason, and the text in it."""
    sent = request.POST
    id = sent.get("conversation", "")
    conversation = access_conversation(actor, id) if id else None
    context = {
        "text": sent.get("text", ""),
        "asked_model": sent.get("model", ""),
        "error": error,
        "error_request_id": request_id,
    }
    if not getattr(request, "htmx", None):
        return _page(request, actor, conversation, context, status=status)
    run = running_conversations(actor).get(conversation.id) if conversation else None
    context |= page.composer_context(_slug(actor), conversation, run)
    context |= _models_context(actor, context["asked_model"])
    return render(request, "playground/_refused.html", context, status=status)


# The page ---------------------------------------------------------------------------------------


def _page(
    request: HttpRequest,
    actor: Actor,
    conversation: Conversation | None,
    context: dict[str, Any],
    *,
    status: int = 200,
) -> HttpResponse:
    slug = _slug(actor)
    messages = latest_path(conversation) if conversation else []
    run = running_conversations(actor).get(conversation.id) if conversation else None
    asked = context.get("asked_model") or (conversation.model if conversation else "")
    context = {
        "nav": "playground",
        "conversation": conversation,
        "may_send": access.scope_of(actor, "playground.use") is not None,
        "articles": _articles(messages, slug),
        "refreshing": run is not None,
        **page.composer_context(slug, conversation, run),
        **_models_context(actor, asked),
        **_list_context(actor, conversation),
        **context,
    }
    return render(request, "playground/page.html", context, status=status)


def _articles(messages: list[Message], slug: str) -> list[dict[str, Any]]:
    return [
        page.message_context(
            message,
            slug,
            written_so_far(message.run)
            if message.run is not None and message.run.ended_at is None
            else None,
        )
        for message in messages
    ]


def _models_context(actor: Actor, asked: str) -> dict[str, Any]:
    models = offered_models(organisation_of(actor))
    names = [model.name for model in models]
    chosen = asked if asked in names else names[0] if names else ""
    return {"models": models, "chosen_model": chosen}


def _list_context(actor: Actor, conversation: Conversation | None) -> dict[str, Any]:
    running = set(running_conversations(actor))
    return {
        "groups": page.chat_groups(chats_shown(actor), running, _slug(actor)),
        "open_chat": id_text(conversation.id) if conversation else "",
    }


def _slug(actor: Actor) -> str:
    return organisation_of(actor).slug


def _relay(request: HttpRequest) -> runs.ChatRelay:
    # config/asgi.py hands its relay to the pages in the scope of each request.
    return cast(runs.ChatRelay, request.scope["weir.relay"])  # type: ignore[attr-defined]
