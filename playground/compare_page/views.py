"""Comparing two to four models side by side, and the wins of the models in blind comparisons
(W11)."""

import random
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from accounts.preferences.table_preferences import read_table
from content.prompts.settings import Settings
from lib.database.async_database import run_in_database
from lib.htmx import redirect_to, toast
from lib.ids import id_text, new_id, parse_id
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Column as TableColumn
from lib.tables.table import Filter, Table
from playground.answers.events import PartialAnswer
from playground.answers.late_charges import late_charges
from playground.chats.desk import desk_context
from playground.compare.rules import COLUMNS_MAX, Ranking, word_difference
from playground.compare_page import compare
from playground.conversations.conversations import access_batch, access_conversation, access_message
from playground.messages import page
from playground.models import Conversation, Message, Run, RunState
from playground.models_offered.offered_models import chat_models
from playground.relaying.relaying import relay_of
from playground.runs import runs
from playground.turns.form import fitting, read_form_payer
from playground.turns.turns import Column, Turn, TurnRefused, add_column, answer_so_far


@organisation_page("playground.read")
@require_safe
def compare_new(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show an empty comparison of the models in the address."""
    offered = [model.name for model in chat_models(actor)]
    requested = request.GET.getlist("m")[:COLUMNS_MAX]
    # Shuffle blind columns, so that their order cannot be guessed from the address.
    models = [model for model in requested if model in offered]
    models += [name for name in offered if name not in models][: max(0, 2 - len(models))]
    while 0 < len(models) < 2:
        models.append(models[0])
    if "blind" in request.GET:
        random.shuffle(models)
    columns = [{"model": model, "preset": ""} for model in models]
    context = {"text": request.GET.get("text", ""), "blind_asked": "blind" in request.GET}
    return compare_page(request, actor, None, columns, context)


def compare_page(
    request: HttpRequest,
    actor: Actor,
    conversation: Conversation | None,
    columns: list[dict[str, Any]],
    context: dict[str, Any],
) -> HttpResponse:
    """Render the page of a comparison, whether it has begun or not."""
    slug = slug_of(actor)
    batch = compare.last_batch(conversation) if conversation else []
    # Read it once, so that the stream continues exactly after what the page shows.
    running_answers = [(run, answer_so_far(run)) for run in batch if run.state == RunState.RUNNING]
    answers = {run.id: answer for run, answer in running_answers if answer is not None}
    running = [run for run in batch if run.id in answers]
    summary = compare.summary_context(conversation, batch, slug) if conversation else {}
    first = columns[0]["model"] if columns else ""
    blind = bool(summary.get("blind")) or bool(context.get("blind_asked"))
    context = {
        **page.composer_context(slug, conversation, running[0] if running else None),
        **desk_context(request, actor, conversation, first, gettext("Compare")),
        **summary,
        "models": chat_models(actor),
        "columns": _columns(
            conversation, columns, slug, summary.get("results", ()), answers, blind=blind
        ),
        "turns": _turns(conversation),
        "events_url": _events_url(batch, answers, slug),
        "stops_unwatched": any(run.unwatched_ms is not None for run in running),
        "blind_asked": blind,
        "refreshing": bool(running),
        "seen": "",
        "text": "",
        "addable": len(columns) < COLUMNS_MAX,
        **context,
    }
    return render(request, "playground/compare/compare.html", context)


def _events_url(batch: list[Run], answers: Mapping[UUID, PartialAnswer], slug: str) -> str:
    """Return the address of the event stream for all columns, from each column's position on the
    page."""
    if not answers:
        return ""
    last_seqs = ".".join(str(answers[run.id].seq if run.id in answers else 999_999_999 - 1)
                    for run in batch)  # fmt: skip
    url = reverse("batch_events", args=[slug, id_text(batch[0].batch)])
    return f"{url}?after={last_seqs}"


def _columns(
    conversation: Conversation | None,
    columns: list[dict[str, Any]],
    slug: str,
    results: Sequence[compare.Result],
    answers: Mapping[UUID, PartialAnswer],
    *,
    blind: bool,
) -> list[dict[str, Any]]:
    paths = compare.column_paths(conversation) if conversation else [[] for _ in columns]
    messages = chain.from_iterable(paths)
    late = late_charges(conversation.organisation_id, messages) if conversation else {}
    visible_columns = []
    for number, (column, path) in enumerate(zip(columns, paths, strict=False)):
        result = next((result for result in results if result.column == number), None)
        letter = gettext("Model %(letter)s") % {"letter": "ABCD"[number]}
        visible_columns.append(
            {
                "number": number,
                "model": column["model"],
                "name": letter if blind else column["model"],
                "preset": column.get("preset", ""),
                "articles": [
                    _article(message, slug, conversation, answers, late, blind=blind, letter=letter)
                    for message in path
                    if message.role == "assistant"
                ],
                "running": result is not None and result.run_id in answers,
                "run_id": id_text(result.run_id) if result else "",
                "state": result.state if result else "",
                "charge_nano": result.charge_nano if result else None,
            }
        )
    return visible_columns


def _article(
    message: Message,
    slug: str,
    conversation: Conversation | None,
    answers: Mapping[UUID, PartialAnswer],
    late: Mapping[UUID, Mapping[str, Any]],
    *,
    blind: bool,
    letter: str,
) -> dict[str, Any]:
    if conversation is not None:
        message.conversation = conversation
    answer = answers.get(message.run.id) if message.run else None
    context = page.message_context(message, slug, answer, late=late)
    return context | {"in_column": True, "blind": blind, "letter": letter}


def _turns(conversation: Conversation | None) -> list[Message]:
    """Return the questions, which all columns share."""
    if conversation is None:
        return []
    paths = compare.column_paths(conversation)
    longest = max(paths, key=len, default=[])
    return [message for message in longest if message.role == "user"]


@organisation_page("playground.use")
@require_POST
async def column_add(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    """Add a model to the models that have answered."""
    try:
        turn = await run_in_database(_add_column, request, actor, id)
    except TurnRefused as refused:
        return toast(HttpResponse(status=204), refused.message, tone="bad")
    if turn.fresh:
        runs.start([turn], actor, relay_of(request))
    url = page.conversation_url(slug_of(actor), id_text(turn.conversation.id))
    return redirect_to(request, url)


def _add_column(request: HttpRequest, actor: Actor, id: str) -> Turn:
    conversation = access_conversation(actor, id, temporary=True)
    model = request.POST.get("model", "")
    if model not in {offered.name for offered in chat_models(actor)}:
        raise TurnRefused("model", gettext("Choose a model."))
    shared = Settings.from_stored(conversation.settings)
    column = Column(model, fitting(model, shared).stored())
    token = parse_id(request.POST.get("token", "")) or new_id()
    payer = read_form_payer(actor, request.POST, conversation)
    return add_column(actor, conversation, column, token, payer)


@organisation_page("playground.use")
@require_POST
def keep(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Continue with one answer alone."""
    conversation = compare.keep_column(access_message(actor, id))
    url = page.conversation_url(slug_of(actor), id_text(conversation.id))
    return redirect_to(request, url)


@organisation_page("playground.use")
@require_POST
def vote(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    batch = access_batch(actor, id)
    number = request.POST.get("winner", "")
    winner = next((run.model for run in batch if str(run.column) == number), "")
    compare.cast_vote(actor, batch, winner)
    url = page.conversation_url(slug_of(actor), id_text(batch[0].conversation_id))
    return redirect_to(request, url)


@organisation_page("playground.read")
@require_safe
def diff(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Show the differences between the last answers of two columns."""
    conversation = access_conversation(actor, id, temporary=True)
    paths = compare.column_paths(conversation)
    requested = [request.GET.get("a", "0"), request.GET.get("b", "1")]
    chosen = [int(text) if text in ("0", "1", "2", "3") else 0 for text in requested]
    blind = compare.is_blind(conversation, compare.last_batch(conversation))
    texts, names = [], []
    for number in chosen:
        path = paths[number] if number < len(paths) else []
        texts.append(path[-1].content if path else "")
        letter = gettext("Model %(letter)s") % {"letter": "ABCD"[number]}
        names.append(letter if blind or not path else path[-1].model)
    context = {
        "pieces": word_difference(*texts),
        "names": names,
        "chosen": chosen,
        "columns": [
            (number, gettext("Model %(letter)s") % {"letter": "ABCD"[number]}
             if blind else column["model"])
            for number, column in enumerate(conversation.columns)
        ],
        "diff_url": request.path,
    }  # fmt: skip
    return render(request, "playground/compare/_diff.html", context)


def _interval(ranking: Ranking) -> str:
    return f"{ranking.low}–{ranking.high}%"


VOTES = Table(
    "votes",
    _("Win rates"),
    (
        TableColumn("model", _("Model"), sort=True, card="title"),
        TableColumn("rate", _("Win rate"), "number", sort=True, card="money"),
        TableColumn(
            "interval", _("Interval (95%)"), "number", value=_interval, sort="low", card="second"
        ),
        TableColumn("wins", _("Wins"), "number", sort=True, priority=2),
        TableColumn("votes", _("Votes"), "number", sort=True, card="last"),
    ),
    # A model with few votes is not marked as the best yet.
    default_sort="-interval,-rate,model",
    key="model",
    filters=(Filter("q", _("Model"), "search"),),
)


@organisation_page("playground.read")
@require_safe
def votes(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Show the wins of the models in blind comparisons."""
    state = read_table(VOTES, request, actor)
    text = state.value("q").casefold()
    rows = [row for row in compare.organisation_standings(actor) if text in row.model.casefold()]
    templates = ("playground/compare/votes.html", "playground/compare/_votes.html")
    return answer_table(request, state, ListSource(rows), templates, {"slug": slug_of(actor)})
