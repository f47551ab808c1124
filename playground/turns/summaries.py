"""Summaries of a chat's oldest turns, made when its person requests one. A chat that is longer than
the model's context can then continue with the summary in place of these turns. The turns stay in
the chat and can be sent again."""

from collections.abc import Sequence
from typing import NamedTuple

from django.db import transaction

from accounts.access.actors import Actor
from content.prompts.settings import Settings
from gateway.providers.capabilities import Capabilities
from lib.database.async_database import run_in_database
from lib.ids import new_id
from playground.models import Message
from playground.models_offered.offered_models import capabilities_of_model
from playground.payers.paying import Payer
from playground.relaying.relaying import ChatRelay
from playground.side_requests import side_requests
from playground.side_requests.side_requests import ask_aside
from playground.turns.context_window import apply_summary, messages_left_out
from playground.turns.request import ChatMessage, fixed_tokens
from playground.turns.summary_request import SUMMARY_TOKENS_MAX, portions, summary_request
from playground.turns.turns import TurnForm, draft_after, messages_before
from usage.requests.words import CHAT_SUMMARY


class Excerpt(NamedTuple):
    """What to summarise of the path that a form continues: its messages from `begin` to `end`,
    equal if everything fits. `last` is the last of these messages. `before` is the existing
    summary."""

    model: str
    path: Sequence[ChatMessage]
    begin: int
    end: int
    last: Message | None
    before: str
    can: Capabilities
    payer: Payer


class Summarised(NamedTuple):
    """How many more turns are now sent as a summary, and the cost of summarising."""

    turns: int
    charge_nano: int


def excerpt_to_summarise(form: TurnForm) -> Excerpt:
    """Return what must be summarised so that the form's turn fits."""
    column, stored = form.columns[0], messages_before(form)
    path = draft_after(stored, form)
    settings, can = Settings.from_stored(column.settings), capabilities_of_model(column.model)
    begin, before = apply_summary(path)
    end = begin
    if can.context_max is not None:
        fixed = fixed_tokens(settings, path) + SUMMARY_TOKENS_MAX
        cap = settings.params.get("max_output")
        end += messages_left_out(path[begin:], fixed, can.context_max, cap)
    return Excerpt(
        model=column.model,
        path=path,
        begin=begin,
        end=end,
        last=stored[end - 1] if end > begin else None,
        before=before,
        can=can,
        payer=form.payer,
    )


def _portions(excerpt: Excerpt) -> list[str]:
    return list(portions(excerpt.path[excerpt.begin : excerpt.end], excerpt.can.context_max or 0))


async def most_nano(actor: Actor, relay: ChatRelay, excerpt: Excerpt) -> int:
    """Return the maximum cost of the summary. Raises RequestFault, DatabaseAway."""
    longest = "x" * 4 * SUMMARY_TOKENS_MAX
    bodies = [
        summary_request(excerpt.model, longest, portion, excerpt.can)
        for portion in _portions(excerpt)
    ]
    return sum(
        [await side_requests.most_nano(actor, relay, excerpt.payer, body) for body in bodies]
    )


async def summarise(actor: Actor, relay: ChatRelay, form: TurnForm) -> Summarised:
    """Summarise what does not fit, and store the summary with the last message that it covers.
    Raises what `ask_aside` raises; portions answered before that are still charged."""
    excerpt = await run_in_database(excerpt_to_summarise, form)
    text, charge_nano = excerpt.before, 0
    for portion in _portions(excerpt):
        body = summary_request(excerpt.model, text, portion, excerpt.can)
        answered = await ask_aside(
            actor, relay, excerpt.payer, body, new_id(), purpose=CHAT_SUMMARY
        )
        text, charge_nano = answered.text.strip(), charge_nano + answered.charge_nano
        if not text:
            raise LookupError("an empty summary")
    if excerpt.last is not None:
        await run_in_database(_keep, excerpt.last, text)
    turns = sum(message.role == "user" for message in excerpt.path[excerpt.begin : excerpt.end])
    return Summarised(turns, charge_nano)


def _keep(last: Message, text: str) -> None:
    """Store the summary with the last message that it covers. The path may have changed since, but
    not what comes before this message."""
    with transaction.atomic():
        message = Message.objects.select_for_update().filter(id=last.id).first()
        if message is not None:
            message.parts = {**message.parts, "summary": [{"text": text}]}
            message.save(update_fields=["parts"])


def drop_summary(message: Message) -> None:
    """Send the turns up to this message in full again."""
    message.parts = {name: part for name, part in message.parts.items() if name != "summary"}
    message.save(update_fields=["parts"])
