"""Conversations: who may see them, and one function per write."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.http import Http404

from accounts.access.access import get_by_id, require
from accounts.access.actors import Actor
from lib import clock
from lib.ids import new_id, parse_id
from lib.refusal import check_text
from playground.attachments.attachments import drop_unnamed, files_named
from playground.conversations.message_runs import hand_over_runs
from playground.conversations.title_rules import NAMED_WITHIN, TITLE_MAX
from playground.conversations.tree import Node, Tree
from playground.models import Attachment, Conversation, Message, MessageRole, NamedBy, Run
from usage.models import UsageRecord

FOLDER_MAX: Final = 80
KEPT_DELETED = dt.timedelta(hours=24)
"""How long a deleted conversation or message can be restored."""
_CHATS_SHOWN = 100


# Access -----------------------------------------------------------------------------------------


def visible_conversations(actor: Actor) -> QuerySet[Conversation]:
    """Return the actor's saved conversations, the last used first. Only its author can read a
    chat."""
    saved = _all_conversations(actor).filter(ends_at=None, deleted_at=None)
    return saved.order_by("-pinned", "-updated_at")


def _all_conversations(actor: Actor) -> QuerySet[Conversation]:
    """Return all conversations of the actor, including deleted and temporary ones."""
    require(actor, "playground.read")
    conversations = Conversation.objects.filter(organisation=actor.organisation, user=actor.user)
    return conversations.filter(Q(ends_at=None) | Q(ends_at__gt=clock.now()))


def models_last_used(actor: Actor) -> list[str]:
    """Return the models of the actor's most recent conversations, the latest first."""
    last = _all_conversations(actor).order_by("-updated_at", "-id").values_list("model", flat=True)
    return list(dict.fromkeys(last[:_CHATS_SHOWN]))


def access_conversation(
    actor: Actor, id: str, *, deleted: bool = False, temporary: bool = False
) -> Conversation:
    """Return one conversation of the actor. A temporary conversation is only returned with
    `temporary`. Raises Http404."""
    conversations = _all_conversations(actor)
    conversations = conversations if temporary else conversations.filter(ends_at=None)
    return get_by_id(conversations if deleted else conversations.filter(deleted_at=None), id)


def _pages(actor: Actor) -> QuerySet[Conversation]:
    """Return the actor's conversations that have a page."""
    return _all_conversations(actor).filter(deleted_at=None)


def access_message(actor: Actor, id: str, *, deleted: bool = False) -> Message:
    """Return one message in a conversation of the actor. Raises Http404."""
    messages = Message.objects.select_related("conversation__organisation", "run")
    readable = messages.filter(conversation__in=_pages(actor))
    return get_by_id(readable if deleted else readable.filter(deleted_at=None), id)


def access_run(actor: Actor, id: str) -> Run:
    """Return one run in a conversation of the actor. Raises Http404."""
    runs = Run.objects.select_related(
        "conversation__organisation", "assistant_message__run", "user_message"
    )
    return get_by_id(runs.filter(conversation__in=_pages(actor)), id)


def access_run_record(actor: Actor, id: str) -> tuple[Run, UsageRecord | None]:
    """Return a run as `access_run` does, and the usage record of its request, or None before there
    is one. Raises Http404."""
    run = access_run(actor, id)
    records = UsageRecord.objects.filter(organisation=run.conversation.organisation, final=True)
    return run, records.filter(request_id=run.request_id).first()


def access_batch(actor: Actor, id: str) -> list[Run]:
    """Return the runs of one Send, by column. Raises Http404."""
    runs = Run.objects.select_related(
        "conversation__organisation", "assistant_message__run", "user_message"
    )
    batch, readable = parse_id(id), runs.filter(conversation__in=_pages(actor))
    batch_runs = list(readable.filter(batch=batch).order_by("column")) if batch else []
    if not batch_runs:
        raise Http404
    return batch_runs


def access_attachment(actor: Actor, id: str) -> Attachment:
    """Return one file of the actor. Raises Http404."""
    require(actor, "playground.read")
    attachments = Attachment.objects.filter(organisation=actor.organisation, user=actor.user)
    return get_by_id(attachments, id)


# Reading ----------------------------------------------------------------------------------------


def tree_of(conversation: Conversation) -> Tree:
    """Return the tree of the conversation's messages."""
    rows = conversation.messages.values_list("id", "parent_id", "deleted_at")
    return Tree(Node(id, parent, deleted is not None) for id, parent, deleted in rows)


def current_path(conversation: Conversation) -> list[UUID]:
    """Return the ids of the messages in the current branch."""
    return tree_of(conversation).path(conversation.leaf_id)


def messages_of(ids: Sequence[UUID]) -> list[Message]:
    """Return the messages with these ids, in this order."""
    by_id = Message.objects.select_related("run").in_bulk(ids)
    return [by_id[id] for id in ids if id in by_id]


def path_to(message: Message) -> list[Message]:
    """Return the messages from the first one to this one."""
    with connection.cursor() as cursor:
        cursor.execute(_ANCESTORS, [message.id])
        ids = [row[0] for row in cursor.fetchall()]
    return messages_of(ids)


def rounds_before(message: Message) -> int:
    """Return how many times tool results were sent since the last question."""
    rounds = 0
    for before in reversed(path_to(message)):
        if before.role == MessageRole.USER:
            break
        rounds += before.role == MessageRole.TOOL
    return rounds


_ANCESTORS = """
    WITH RECURSIVE up AS (
        SELECT id, parent_id, 0 AS n FROM playground_message WHERE id = %s
        UNION ALL
        SELECT m.id, m.parent_id, up.n + 1 FROM playground_message m JOIN up ON m.id = up.parent_id
    )
    SELECT id FROM up ORDER BY n DESC"""


def listed_chats(actor: Actor, search: str = "", *, archived: bool = False) -> list[Conversation]:
    """Return the conversations of the list: pinned ones first, then the last used.

    A search of three characters or more covers titles and the text of messages.
    """
    chats = visible_conversations(actor).filter(archived_at__isnull=not archived)
    return list(search_conversations(chats, search)[:_CHATS_SHOWN])


def search_conversations(chats: QuerySet[Conversation], search: str) -> QuerySet[Conversation]:
    """Filter the conversations by words in the title or the messages."""
    words = search.strip()
    if not words:
        return chats
    matches = Q(title__icontains=words) | Q(folder__icontains=words)
    if len(words) >= 3:
        texts = Message.objects.filter(content__icontains=words, deleted_at=None)
        matches |= Q(id__in=texts.values("conversation_id"))
    return chats.filter(matches)


def folders_of(actor: Actor) -> list[str]:
    """Return the folders of the actor's conversations."""
    chats = visible_conversations(actor).exclude(folder="").order_by("folder")
    return list(chats.values_list("folder", flat=True).distinct())


def being_named(conversation: Conversation) -> bool:
    """Return whether a model may still be generating the conversation's name."""
    waiting = conversation.named_by == NamedBy.PENDING
    return waiting and clock.now() - conversation.updated_at < NAMED_WITHIN


def running_conversations(actor: Actor) -> dict[UUID, Run]:
    """Return the running runs, by conversation."""
    runs = Run.objects.filter(
        ended_at=None,
        conversation__organisation=actor.organisation,
        conversation__user=actor.user,
    )
    return {run.conversation_id: run for run in runs}


# Changing a conversation -------------------------------------------------------------------------


def change_conversation(
    conversation: Conversation,
    *,
    title: str | None = None,
    folder: str | None = None,
    pinned: bool | None = None,
    archived: bool | None = None,
) -> None:
    """Change the name, folder, pin or archive state of a conversation. None leaves a value as it
    is. Raises Refused."""
    changed = []
    if title is not None and title.strip():
        conversation.title = check_text("title", title, TITLE_MAX)
        conversation.named_by = NamedBy.PERSON
        changed += ["title", "named_by"]
    if folder is not None:
        conversation.folder = check_text("folder", folder, FOLDER_MAX)
        changed.append("folder")
    if pinned is not None:
        conversation.pinned = pinned
        changed.append("pinned")
    if archived is not None:
        conversation.archived_at = clock.now() if archived else None
        changed.append("archived_at")
    conversation.save(update_fields=changed)


def name_by_model(conversation: Conversation, title: str, request_id: UUID | None) -> None:
    """Set the name that a model generated for a chat that waits for a name; "" for none.
    `request_id` is the request that generated it. A name that a person has written in the meantime
    stays."""
    rows = Conversation.objects.filter(id=conversation.id)
    rows.update(title_request_id=request_id)
    waiting = rows.filter(named_by=NamedBy.PENDING)
    if title:
        waiting.update(title=title[:TITLE_MAX], named_by=NamedBy.MODEL)
    else:
        waiting.update(named_by=NamedBy.WORDS)


def delete_conversation(conversation: Conversation) -> None:
    """Hide a conversation. It can be restored for a day."""
    Conversation.objects.filter(id=conversation.id).update(deleted_at=clock.now())


def restore_conversation(conversation: Conversation) -> None:
    """Restore a deleted conversation."""
    Conversation.objects.filter(id=conversation.id).update(deleted_at=None)


def drop_deleted(now: dt.datetime) -> None:
    """Delete permanently what was moved to the deleted chats a day ago, with the files that no
    other message refers to."""
    before = now - KEPT_DELETED
    for conversation in Conversation.objects.filter(deleted_at__lt=before):
        with dropping_its_files(conversation):
            hand_over_runs(conversation)
            conversation.delete()
    for conversation in Conversation.objects.filter(messages__deleted_at__lt=before).distinct():
        with dropping_its_files(conversation):
            hand_over_runs(conversation, deleted_before=before)
            conversation.messages.filter(deleted_at__lt=before).delete()


@contextmanager
def dropping_its_files(conversation: Conversation) -> Iterator[None]:
    """Delete the files of removed messages, except those that a copied message in another branch
    still refers to."""
    with transaction.atomic():
        files = files_named(Message.objects.filter(conversation=conversation.id))
        yield
        drop_unnamed(conversation.user_id, files)


# Changing its tree ------------------------------------------------------------------------------


def show_version(message: Message) -> None:
    """Show the newest branch that contains this message."""
    tree = tree_of(message.conversation)
    Conversation.objects.filter(id=message.conversation_id).update(leaf=tree.end_of(message.id))


def edit_answer(message: Message, content: str) -> Message:
    """Create a version of an answer with a person's text, and show it."""
    with transaction.atomic():
        version = Message.objects.create(
            conversation=message.conversation,
            parent=message.parent,
            role=message.role,
            model=message.model,
            content=content.replace("\x00", ""),
            column=message.column,
            edited=True,
        )
        Conversation.objects.filter(id=message.conversation_id).update(leaf=version)
    return version


def delete_message(message: Message) -> None:
    """Hide a message with its replies. Another version of it is shown, or its parent."""
    with transaction.atomic():
        Message.objects.filter(id=message.id).update(deleted_at=clock.now())
        tree = tree_of(message.conversation)
        siblings = tree.versions(message.id)
        leaf = tree.end_of(siblings[-1]) if siblings else message.parent_id
        Conversation.objects.filter(id=message.conversation_id).update(leaf=leaf)


def restore_message(message: Message) -> None:
    """Restore a deleted message and show it."""
    with transaction.atomic():
        Message.objects.filter(id=message.id).update(deleted_at=None)
        show_version(message)


def branch_to_new(message: Message) -> Conversation:
    """Create a conversation with a copy of the path to this message."""
    source = message.conversation
    with transaction.atomic():
        branch = Conversation.objects.create(
            organisation=source.organisation,
            team=source.team,
            user=source.user,
            title=source.title,
            model=source.model,
            settings=source.settings,
            folder=source.folder,
        )
        leaf = copy_messages(branch, path_to(message))
        Conversation.objects.filter(id=branch.id).update(leaf=leaf)
    return branch


def copy_messages(target: Conversation, path: Iterable[Message]) -> Message | None:
    """Copy the messages of a path into another conversation. Return the last copy, or None for an
    empty path."""
    last: Message | None = None
    for message in path:
        last = Message.objects.create(
            id=new_id(),
            conversation=target,
            parent=last,
            role=message.role,
            content=message.content,
            reasoning=message.reasoning,
            model=message.model,
            state=message.state,
            run=message.run,
            request_id=message.request_id,
            parts=message.parts,
            edited=message.edited,
        )
    return last
