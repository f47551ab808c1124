"""The playground's chat: its page, Send, the stream of an answer, Stop (W10). The request of the
composer's content, as code and as it will be sent."""

from collections.abc import Callable, Iterator
from typing import Any

from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    QueryDict,
)
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST, require_safe

from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from accounts.guards.stream_access import reader_of
from content.prompts.prompts import find_version
from content.prompts.settings import Settings
from gateway.code_examples.snippets import LANGUAGES, Language
from lib.database.async_database import run_in_database
from lib.htmx import is_htmx, redirect_to, see_other
from lib.ids import id_text
from lib.process.server_sent import event_stream
from playground.answers.notifications import notifications
from playground.chats.chips import chips
from playground.chats.desk import (
    CHATS_CHANGED,
    SHOWN_AT_ONCE,
    articles_of,
    desk_context,
    log_context,
    models_context,
)
from playground.compare_page.views import compare_page
from playground.conversations.conversations import (
    access_batch,
    access_conversation,
    access_message,
    access_run,
    current_path,
    messages_of,
    running_conversations,
)
from playground.conversations.temporary_chats import visit_temporary
from playground.messages import page
from playground.models import Conversation, Run, RunState
from playground.panel.panel import form_of
from playground.panel.presets import access_preset
from playground.panel.settings import write_json
from playground.payers.paying import displayed_payer
from playground.relaying.relaying import relay_of
from playground.runs import runs
from playground.runs.watching import expect_reader
from playground.sending.panel_views import code_panel, draft_request
from playground.sending.stream import stream_events
from playground.turns.form import form_values, read_form
from playground.turns.request import shorten_request
from playground.turns.turns import ConversationBusy, Turn, TurnRefused, begin_turns, request_stop


@organisation_page("playground.read")
@require_safe
def playground(request: HttpRequest, actor: Actor) -> HttpResponse:
    query = request.GET
    context: dict[str, Any] = {"text": query.get("text", ""), "asked_model": query.get("m", "")}
    form = _form_of_query(actor, query, context) or {}
    form |= {
        name: value
        for name, value in query.items()
        if isinstance(value, str) and name[:4] == "var."
    }
    return _page(request, actor, None, context, form=form)


def _form_of_query(
    actor: Actor, query: QueryDict, context: dict[str, Any]
) -> dict[str, str] | None:
    """Return the panel's values for the preset or prompt that the address names, and a prompt's
    model. Return None if it names neither."""
    if preset := query.get("preset"):
        return form_of(Settings.from_stored(access_preset(actor, preset).settings))
    if prompt := query.get("prompt"):
        version = find_version(actor, *prompt.partition("@")[::2])
        context["asked_model"] = context.get("asked_model") or version.model
        return form_of(Settings.from_stored(version.settings))
    return None


@organisation_page("playground.read")
@require_safe
def conversation(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    conversation = access_conversation(actor, id, temporary=True)
    expect_reader(conversation)
    if conversation.ends_at is not None:
        visit_temporary(conversation)
    if conversation.columns:
        return compare_page(request, actor, conversation, conversation.columns, {})
    context: dict[str, Any] = {}
    if edited := request.GET.get("edit"):
        question = access_message(actor, edited)
        context = {"text": question.content, "instead": question}
    form = _form_of_query(actor, request.GET, context)
    return _page(request, actor, conversation, context, form=form)


@organisation_page("playground.read")
@require_safe
def earlier(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Show earlier messages."""
    message = access_message(actor, id)
    path = current_path(message.conversation)
    before = path[: path.index(message.id)] if message.id in path else []
    visible = before[-SHOWN_AT_ONCE:]
    context = {
        "articles": articles_of(messages_of(visible), slug_of(actor), message.conversation),
        "earlier": id_text(visible[0]) if len(before) > len(visible) else "",
        "slug": slug_of(actor),
    }
    return render(request, "playground/turns/_earlier.html", context)


@organisation_page("playground.use")
@require_POST
async def run_create(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    try:
        turns = await run_in_database(_begin, request, actor)
    except TurnRefused as refused:
        status = 409 if isinstance(refused, ConversationBusy) else 422
        return await run_in_database(refused_page, request, actor, refused.message, status)
    if turns[0].fresh:
        runs.start(turns, actor, relay_of(request))
    return await run_in_database(_turns_response, request, actor, turns)


@organisation_page("playground.read")
@require_GET
async def run_events(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    run = await run_in_database(access_run, actor, id)
    return _stream(request, actor, [run])


@organisation_page("playground.read")
@require_GET
async def batch_events(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    """Stream all columns of a comparison over one connection."""
    return _stream(request, actor, await run_in_database(access_batch, actor, id))


@organisation_page("playground.use")
@require_POST
async def run_stop(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    return await _stop(request, actor, lambda: [access_run(actor, id)])


@organisation_page("playground.use")
@require_POST
async def batch_stop(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    return await _stop(request, actor, lambda: access_batch(actor, id))


def _stream(request: HttpRequest, actor: Actor, batch: list[Run]) -> HttpResponseBase:
    # A page that reconnects sends the number of the last event that it has seen for each column.
    position = request.headers.get("last-event-id", "") or request.GET.get("after", "")
    after = [number or 0 for number in _numbers(position)][: len(batch)]
    after += [0] * (len(batch) - len(after))

    may_read = reader_of(request, actor, "playground.read")
    brief = "brief" in request.GET
    return event_stream(stream_events(batch, after, slug_of(actor), may_read=may_read, brief=brief))


def _numbers(position: str) -> list[int | None]:
    """Return the number of an event for each column; None for what is no number."""
    return [int(number) if number.isascii() and number.isdecimal() and len(number) < 10 else None
            for number in position.split(".")]  # fmt: skip


async def _stop(
    request: HttpRequest, actor: Actor, find: Callable[[], list[Run]]
) -> HttpResponseBase:
    batch = await run_in_database(_request_stops, find, request.POST.get("shown", ""))
    for run in batch:
        notifications().notify(run.id)
    if is_htmx(request):
        return HttpResponse(render_to_string("playground/turns/_stopping.html"))
    return see_other("conversation", slug_of(actor), id_text(batch[0].conversation_id))


def _request_stops(find: Callable[[], list[Run]], position: str) -> list[Run]:
    batch, numbers = find(), _numbers(position)
    for run in batch:
        request_stop(run, stop_seq=numbers[run.column] if run.column < len(numbers) else None)
    return batch


# Send -------------------------------------------------------------------------------------------


def _begin(request: HttpRequest, actor: Actor) -> list[Turn]:
    return begin_turns(actor, read_form(actor, request.POST))


def _turns_response(request: HttpRequest, actor: Actor, turns: list[Turn]) -> HttpResponse:
    slug, turn = slug_of(actor), turns[0]
    url = page.conversation_url(slug, id_text(turn.conversation.id))
    if not is_htmx(request) or turn.conversation.columns:
        # Render a comparison again as a whole.
        return redirect_to(request, url)
    form = request.POST
    again = bool({"retry", "answered", "instead", "as_before"} & set(form))
    turn.conversation.refresh_from_db()
    log = log_context(actor, turn.conversation)
    # Read the run last, so that the composer of an answer that has ended does not wait for its end.
    run = access_run(actor, turn.run.text_id)
    running = run.state == RunState.RUNNING
    # A page that has not seen what another page has sent gets everything.
    replaces_all = again or not _follows(log["articles"], form.get("seen", ""))
    context = {
        **page.composer_context(slug, turn.conversation, run if running else None),
        **models_context(actor, turn.conversation.model),
        **log,
        "articles": log["articles"] if replaces_all else log["articles"][-2:],
        "whole": replaces_all,
        "again": again,
        "begins": not (again or form.get("conversation")),
        "model": run.model,
        "conversation": turn.conversation,
        "form": form_values(form),
        # Those that were attached meanwhile stay.
        "sent_files": form.getlist("file"),
        "text": "",
    }
    response = render(request, "playground/turns/_begun.html", context)
    response["HX-Trigger"] = CHATS_CHANGED
    response["HX-Push-Url"] = url
    return response


def _follows(articles: list[dict[str, Any]], last_id: str) -> bool:
    """Return whether the last question and answer directly follow the message that a page ends
    with."""
    before = articles[-3]["id"] if len(articles) > 2 else ""
    return bool(before == last_id)


def refused_page(
    request: HttpRequest,
    actor: Actor,
    error: str,
    status: int,
) -> HttpResponse:
    """Return the composer with the reason, keeping its text."""
    form = request.POST
    id = form.get("conversation", "")
    conversation = access_conversation(actor, id, temporary=True) if id else None
    again = bool({"retry", "answered", "instead", "as_before"} & set(form))
    context: dict[str, Any] = {
        "text": form.get("text", ""),
        "seen": form.get("seen", ""),
        "asked_model": form.get("model", ""),
        "error": error,
        "file_ids": form.getlist("file"),
    }
    if not is_htmx(request):
        return _page(request, actor, conversation, context, status=status, form=form_values(form))
    if again:
        context = {"error": error}
        return render(request, "playground/turns/_refused_again.html", context, status=status)
    slug = slug_of(actor)
    run = running_conversations(actor).get(conversation.id) if conversation else None
    context |= {
        **page.composer_context(slug, conversation, run),
        **models_context(actor, context["asked_model"]),
        "form": form_values(form),
        "payer": displayed_payer(actor, form.dict(), conversation),
        "chips": chips(actor, context["file_ids"]),
    }
    return render(request, "playground/turns/_refused.html", context, status=status)


# Context ----------------------------------------------------------------------------------------


def _page(
    request: HttpRequest,
    actor: Actor,
    conversation: Conversation | None,
    context: dict[str, Any],
    status: int = 200,
    form: dict[str, str] | None = None,
) -> HttpResponse:
    log = log_context(actor, conversation, request.GET.get("msg", ""))
    chosen = context.pop("asked_model", "") or (conversation.model if conversation else "")
    models = models_context(actor, chosen)
    # Read the runs last, as after a Send.
    desk = desk_context(
        request=request,
        actor=actor,
        conversation=conversation,
        model=models["chosen_model"],
        name=gettext("Playground"),
        form=form,
        file_ids=context.get("file_ids", []),
    )
    run = desk["running_chats"].get(conversation.id) if conversation else None
    context = {
        **page.composer_context(slug_of(actor), conversation, run),
        **models,
        **desk,
        **log,
        # Decide by what is shown, because the run may have ended since.
        "refreshing": any(article.get("running") for article in log["articles"]),
        **context,
    }
    return render(request, "playground/turns/page.html", context, status=status)


@organisation_page("playground.use")
@require_POST
def draft_code(request: HttpRequest, actor: Actor) -> HttpResponse:
    url = reverse("draft_code", args=[slug_of(actor)])
    return _show(request, actor, "playground/turns/_draft_code.html", url)


@organisation_page("playground.use")
@require_POST
def draft_debug(request: HttpRequest, actor: Actor) -> HttpResponse:
    url = reverse("draft_debug", args=[slug_of(actor)])
    return _show(request, actor, "playground/turns/_draft_debug.html", url)


def _show(request: HttpRequest, actor: Actor, template: str, url: str) -> HttpResponse:
    """Show the request of one column, or why it would be refused. What to show is in the query, or
    else in the fields of the form."""
    context: dict[str, Any] = {"draft_url": url, "slug": slug_of(actor)}
    wanted = form_values(request.POST) | form_values(request.GET)
    languages: Iterator[Language] = (one for one in LANGUAGES if one == wanted.get("draft_lang"))
    try:
        form = read_form(actor, request.POST)
        word = wanted.get("draft_column", "")
        number = int(word) if word in ("1", "2", "3") and int(word) < len(form.columns) else 0
        body = draft_request(actor, form, number)
    except TurnRefused as refused:
        return render(request, template, context | {"refused_draft": refused.message})
    context |= {
        "column": number,
        "columns": [column.model for column in form.columns],
        "payer": form.payer,
        "model": form.columns[number].model,
        "request_json": write_json(shorten_request(body)),
        **code_panel(actor, body, url, wanted.get("draft_form", ""), next(languages, "curl")),
    }
    return render(request, template, context)
