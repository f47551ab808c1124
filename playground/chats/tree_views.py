"""Messages as a tree: versions, edits, branches, deletion and restoring."""

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from billing.currency.words import charge_text
from dialects.errors.errors import RequestFault
from lib.database.async_database import run_in_database
from lib.htmx import is_htmx, redirect_to, toast
from lib.ids import id_text
from playground.chats.desk import CHATS_CHANGED, log_context
from playground.conversations.conversations import (
    access_conversation,
    access_message,
    branch_to_new,
    delete_message,
    edit_answer,
    restore_message,
    running_conversations,
    show_version,
)
from playground.messages import page
from playground.models import Conversation, MessageRole
from playground.relaying.relaying import relay_of
from playground.rendering.logprobs import likelihoods
from playground.side_requests.side_requests import AsideRefused
from playground.turns.form import read_form
from playground.turns.summaries import Summarised, drop_summary, summarise
from playground.turns.turns import TEXT_MAX, TurnForm, TurnRefused
from relay.errors import DatabaseAway


@organisation_page("playground.use")
@require_safe
def message_edit(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Show a form for editing a message in its place. Without scripts, a question is edited in the
    composer."""
    message = access_message(actor, id)
    if not is_htmx(request) and message.role == MessageRole.USER:
        url = page.conversation_url(slug_of(actor), id_text(message.conversation_id))
        return redirect_to(request, f"{url}?edit={id}")
    context = {
        "message": message,
        "id": message.text_id,
        "slug": slug_of(actor),
        **page.composer_context(slug_of(actor), message.conversation, None),
        "answer": message.role == MessageRole.ASSISTANT,
        "model": message.model or message.conversation.model,
    }
    return render(request, "playground/chats/_edit.html", context)


@organisation_page("playground.read")
@require_safe
def message_tokens(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Show the tokens of an answer with their probabilities."""
    tokens = likelihoods(access_message(actor, id).parts.get("tokens", ()))
    return render(request, "playground/chats/_tokens.html", {"tokens": tokens})


@organisation_page("playground.use")
@require_POST
def message_save(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    message = access_message(actor, id)
    content = request.POST.get("content", "").replace("\r\n", "\n")[:TEXT_MAX]
    edit_answer(message, content)
    return _log(request, actor, message.conversation)


@organisation_page("playground.use")
@require_POST
def message_show(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    message = access_message(actor, id)
    show_version(message)
    return _log(request, actor, message.conversation)


@organisation_page("playground.use")
@require_POST
def message_delete(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    message = access_message(actor, id)
    delete_message(message)
    response = _log(request, actor, message.conversation)
    restore = reverse("message_restore", args=[slug_of(actor), id])
    return toast(response, gettext("Message deleted."), gettext("Undo"), restore)


@organisation_page("playground.use")
@require_POST
def message_restore(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    message = access_message(actor, id, deleted=True)
    restore_message(message)
    return _log(request, actor, message.conversation)


@organisation_page("playground.use")
@require_POST
def message_branch(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    message = access_message(actor, id)
    if message.conversation.ends_at is not None:
        raise Http404  # a conversation that is not saved cannot be branched
    branch = branch_to_new(message)
    return _redirect_to_chat(request, actor, branch)


@organisation_page("playground.use")
@require_POST
async def chat_summarise(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Summarise the oldest turns of the form's chat, so that its turn fits."""
    try:
        form = await run_in_database(read_form, actor, request.POST)
        done = await summarise(actor, relay_of(request), form)
    except TurnRefused as refused:
        return _refuse_summary(refused.message)
    except AsideRefused as refused:
        return _refuse_summary(page.refusal_text(refused.outcome))
    except RequestFault as fault:
        return _refuse_summary(fault.message)
    except (DatabaseAway, ValueError, LookupError):
        return _refuse_summary(
            gettext("The model returned no summary. Its request is listed on the Requests page.")
        )
    return await run_in_database(_summary_response, request, actor, form, done)


def _summary_response(
    request: HttpRequest, actor: Actor, form: TurnForm, done: Summarised
) -> HttpResponse:
    if form.conversation is None:
        raise Http404
    message = ngettext(
        "%(n)s turn summarised for %(charge)s.",
        "%(n)s turns summarised for %(charge)s.",
        done.turns,
    ) % {"n": done.turns, "charge": charge_text(done.charge_nano)}
    return toast(_log(request, actor, form.conversation), message)


def _refuse_summary(text: str) -> HttpResponse:
    return toast(HttpResponse(status=200), text, tone="bad")


@organisation_page("playground.use")
@require_POST
def summary_drop(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    message = access_message(actor, id)
    drop_summary(message)
    return _log(request, actor, message.conversation)


@organisation_page("playground.read")
@require_safe
def log(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Render the current branch."""
    return _log(request, actor, access_conversation(actor, id, temporary=True))


@organisation_page("playground.read")
@require_safe
def sync_chat(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Update a page whose last message is `seen` to the branch as another page has left it."""
    conversation = access_conversation(actor, id, temporary=True)
    log = log_context(actor, conversation)
    if log["seen"] == request.GET.get("seen", ""):
        return HttpResponse(status=204)
    run = running_conversations(actor).get(conversation.id)
    context = {
        **page.composer_context(slug_of(actor), conversation, run),
        **log,
    }
    response = render(request, "playground/chats/_in_step.html", context)
    response["HX-Trigger"] = CHATS_CHANGED
    return response


def _redirect_to_chat(
    request: HttpRequest, actor: Actor, conversation: Conversation
) -> HttpResponse:
    return redirect_to(request, page.conversation_url(slug_of(actor), id_text(conversation.id)))


def _log(request: HttpRequest, actor: Actor, conversation: Conversation) -> HttpResponse:
    if not is_htmx(request):
        return _redirect_to_chat(request, actor, conversation)
    conversation.refresh_from_db()
    context = log_context(actor, conversation) | {"slug": slug_of(actor)}
    return render(request, "playground/chats/_log.html", context)
