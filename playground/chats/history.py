"""The list of all conversations of a person (W12): search them, and archive, delete and restore
several together. Conversations that are changed together share one timestamp, by which the change
can be undone."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db.models import BigIntegerField, Count, QuerySet
from django.db.models.expressions import RawSQL

from accounts.access.access import require
from accounts.access.actors import Actor, organisation_of, person_of
from lib import clock
from playground.conversations.conversations import search_conversations, visible_conversations
from playground.models import Conversation, Message, MessageRole, Run
from usage.models import UsageRecord


@dataclass(frozen=True)
class HistoryFilter:
    """Which conversations: with these words, in this folder, with this model last; `archived` ones
    or the others."""

    words: str = ""
    folder: str = ""
    model: str = ""
    archived: bool = False


@dataclass
class Spent:
    """The tokens and cost of answers. The request records are authoritative; for an imported chat,
    the values of its file are used."""

    tokens: int = 0
    charge_nano: int = 0

    def add(self, meters: Mapping[str, int], charge_nano: int) -> None:
        self.tokens += sum(n for name, n in meters.items() if name.startswith(("in_", "out_")))
        self.charge_nano += charge_nano


def filter_chats(actor: Actor, filters: HistoryFilter) -> QuerySet[Conversation]:
    """Return the conversations that match the filter."""
    chats = visible_conversations(actor).filter(archived_at__isnull=not filters.archived)
    if filters.folder:
        chats = chats.filter(folder=filters.folder)
    if filters.model:
        chats = chats.filter(model=filters.model)
    return search_conversations(chats, filters.words)


def annotate_figures(chats: QuerySet[Conversation], names: Iterable[str]) -> QuerySet[Conversation]:
    """Annotate the conversations with the figures to sort by. This reads all of their answers."""
    figures = {name: RawSQL(_FIGURES[name], (), BigIntegerField()) for name in names}  # noqa: S611 - constants
    return chats.annotate(**figures)


def turns_by_chat(chats: Sequence[Conversation]) -> dict[UUID, int]:
    """Return the number of questions in each conversation."""
    questions = Message.objects.filter(
        conversation__in=chats, role=MessageRole.USER, deleted_at=None
    )
    counted = questions.order_by().values_list("conversation_id").annotate(Count("id"))
    return dict(counted.values_list("conversation_id", "id__count"))


def running_chats(chats: Sequence[Conversation]) -> set[UUID]:
    """Return the conversations with a running answer."""
    runs = Run.objects.filter(conversation__in=chats, ended_at=None)
    return set(runs.values_list("conversation_id", flat=True))


def spent_by_chat(chats: Sequence[Conversation]) -> dict[UUID, Spent]:
    """Return the cost of answers by conversation, for conversations of one organisation."""
    spent = {chat.id: Spent() for chat in chats}
    if not chats:
        return spent
    runs = Run.objects.filter(conversation__in=spent).values_list("request_id", "conversation_id")
    chat_of_request = dict(runs)
    records = UsageRecord.objects.filter(
        organisation=chats[0].organisation_id, request_id__in=chat_of_request
    )
    for request_id, meters, nano in records.values_list("request_id", "meters", "charge_nano"):
        spent[chat_of_request[request_id]].add(meters, nano)
    imported = Message.objects.filter(
        conversation__in=spent, run=None, deleted_at=None, parts__has_key="outcome"
    )
    for chat_id, parts in imported.values_list("conversation_id", "parts"):
        outcome = parts["outcome"]
        spent[chat_id].add(outcome.get("meters") or {}, int(outcome.get("charge_nano") or 0))
    return spent


def models_used(actor: Actor) -> list[str]:
    """Return the models in the person's conversations, each once, by name."""
    chats = visible_conversations(actor).exclude(model="").order_by("model")
    return list(chats.values_list("model", flat=True).distinct())


# Changing many ----------------------------------------------------------------------------------


def archive_chats(
    actor: Actor, chats: QuerySet[Conversation], *, archived: bool
) -> tuple[int, dt.datetime]:
    """Archive conversations, or unarchive them. Return how many, and the instant."""
    require(actor, "playground.use")
    now = clock.now()
    return _own_chats(actor, chats).update(archived_at=now if archived else None), now


def delete_chats(actor: Actor, chats: QuerySet[Conversation]) -> tuple[int, dt.datetime]:
    """Hide conversations; after a day they are deleted. Return how many, and the instant."""
    require(actor, "playground.use")
    now = clock.now()
    return _own_chats(actor, chats).update(deleted_at=now), now


def move_chats(actor: Actor, chats: QuerySet[Conversation], folder: str) -> int:
    """Move conversations to a folder, "" for none. Return how many."""
    require(actor, "playground.use")
    return _own_chats(actor, chats).update(folder=folder)


def undo_changes(actor: Actor, at: dt.datetime) -> int:
    """Undo the archiving or deletion at that time. Return the number of conversations."""
    require(actor, "playground.use")
    own = Conversation.objects.filter(organisation=organisation_of(actor), user=person_of(actor))
    back = own.filter(deleted_at=at).update(deleted_at=None)
    return back + own.filter(archived_at=at, deleted_at=None).update(archived_at=None)


def _own_chats(actor: Actor, chats: Iterable[Conversation]) -> QuerySet[Conversation]:
    """Return the same conversations as a query that can be updated."""
    return visible_conversations(actor).filter(id__in=[chat.id for chat in chats])


# SQL for the sums of `turns_by_chat` and `spent_by_chat`, for sorting.
_FIGURES: Final = {
    "turns": """(
        SELECT count(*) FROM playground_message m
        WHERE m.conversation_id = playground_conversation.id AND m.role = 'user'
        AND m.deleted_at IS NULL)""",
    "charge_nano": """(
        SELECT coalesce(sum(u.charge_nano), 0) FROM playground_run n
        JOIN usage_usagerecord u ON u.organisation_id = playground_conversation.organisation_id
            AND u.request_id = n.request_id
        WHERE n.conversation_id = playground_conversation.id
    )::bigint + (
        SELECT coalesce(sum((m.parts #>> '{outcome,charge_nano}')::bigint), 0)
        FROM playground_message m
        WHERE m.conversation_id = playground_conversation.id AND m.run_id IS NULL
        AND m.deleted_at IS NULL)::bigint""",
}
