"""Export whole conversations to files, and import files as new conversations."""

import datetime as dt
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from accounts.access.access import require
from accounts.access.actors import Actor, organisation_of, person_of
from accounts.keys.keys import playground_key
from accounts.models import Team
from billing.currency.words import charge_text
from content.prompts.settings import Settings
from lib import clock
from lib.ids import new_ids
from playground.answers.late_charges import booked_outcomes, late_charges
from playground.attachments.attachments import add_file, mark_sent
from playground.attachments.rules import UnsupportedFile
from playground.chats.export_format import (
    ExportedConversation,
    ExportedMessage,
    Unusable,
    read_files,
    write_markdown,
)
from playground.conversations.conversations import current_path, messages_of
from playground.models import Attachment, Conversation, Message, NamedBy
from playground.panel.words import file_text
from playground.turns.turns import facts_of

_WITH_FILES: Final = ("files", "media")
_UNKNOWN: Final[Mapping[UUID, Mapping[str, Any]]] = MappingProxyType({})
_FACTS = ("status", "kind", "finish_reason", "meters", "charge_nano", "hold_nano", "expected_nano",
          "basis", "ttft_ms", "total_ms", "thought_ms")  # fmt: skip


def export_conversation(conversation: Conversation) -> ExportedConversation:
    """Export a conversation with every branch that was not deleted."""
    messages = list(conversation.messages.filter(deleted_at=None).select_related("run"))
    reachable = _reachable(messages)
    file_ids = [UUID(file["id"]) for message in reachable for part in _WITH_FILES
              for file in message.parts.get(part, ())]  # fmt: skip
    attachments = Attachment.objects.filter(
        id__in=file_ids, organisation=conversation.organisation_id, user=conversation.user_id
    )
    # In the books, interrupted ones have their charges too.
    requests = [message.request_id for message in reachable if message.request_id]
    charged = booked_outcomes(conversation.organisation_id, requests)
    return ExportedConversation(
        title=conversation.title,
        model=conversation.model,
        settings=conversation.settings,
        leaf=str(conversation.leaf_id) if conversation.leaf_id else None,
        turns=tuple(turn_of(message, charged) for message in reachable),
        files={str(file.id): (file.name, bytes(file.data)) for file in attachments},
        columns=tuple(column | {"preset": ""} for column in conversation.columns),
        folder=conversation.folder,
        pinned=conversation.pinned,
        archived=conversation.archived_at is not None,
        created_at=conversation.created_at.isoformat(),
        updated_at=conversation.updated_at.isoformat(),
    )


def _reachable(messages: list[Message]) -> list[Message]:
    """Return the messages whose ancestors all exist, parents first."""
    waiting: dict[UUID | None, list[Message]] = {}
    for message in sorted(messages, key=lambda message: message.id):
        waiting.setdefault(message.parent_id, []).append(message)
    reachable: list[Message] = []
    level: list[UUID | None] = [None]
    while level:
        children = [message for parent in level for message in waiting.get(parent, ())]
        reachable += children
        level = [message.id for message in children]
    return reachable


def turn_of(
    message: Message, charged: Mapping[UUID, Mapping[str, Any]] = _UNKNOWN
) -> ExportedMessage:
    """Convert a message to the export format. `charged` has the charges from the books."""
    run = message.run
    # Further answers of the same request, and copies in other chats, are not charged again.
    is_own = run is not None and run.assistant_message_id == message.id
    outcome = (run.outcome if run and is_own else None) or message.parts.get("outcome") or {}
    if is_own and message.request_id is not None and message.request_id in charged:
        outcome = {**outcome, **charged[message.request_id]}
    return ExportedMessage(
        id=str(message.id),
        parent=str(message.parent_id) if message.parent_id else None,
        role=message.role,
        content=message.content,
        reasoning=message.reasoning,
        model=message.model,
        state=message.state,
        parts={name: value for name, value in message.parts.items()
               if name not in ("outcome", "tokens")},
        edited=message.edited,
        column=message.column,
        created_at=message.created_at.isoformat(),
        outcome={name: outcome[name] for name in _FACTS if name in outcome},
    )  # fmt: skip


def markdown_of(conversation: Conversation) -> str:
    """Return the current branch as Markdown."""
    messages = messages_of(current_path(conversation))
    late = late_charges(conversation.organisation_id, messages)
    turns = [turn_of(message, late) for message in messages]
    costs = {turn.id: _cost(turn.outcome) for turn in turns if "charge_nano" in turn.outcome}
    return write_markdown(conversation.title, turns, costs)


def _cost(outcome: Any) -> str:
    meters = outcome.get("meters") or {}
    input_tokens = sum(n for name, n in meters.items() if name.startswith("in_"))
    output_tokens = sum(n for name, n in meters.items() if name.startswith("out_"))
    return f"{input_tokens} in, {output_tokens} out, {charge_text(outcome['charge_nano'])}"


def import_conversations(actor: Actor, raw: Any) -> list[Conversation]:
    """Create conversations from exported ones, all or none. Raises Unusable."""
    require(actor, "playground.use")
    chats = read_files(raw)
    team = playground_key(organisation_of(actor)).team
    with transaction.atomic():
        return [_import(actor, team, chat) for chat in chats]


def _import(actor: Actor, team: Team, chat: ExportedConversation) -> Conversation:
    try:
        settings = Settings.from_stored(chat.settings).stored()
        columns = [_column(column) for column in chat.columns]
    except TypeError as error:
        raise Unusable("/settings", "cannot be read") from error
    now = clock.now()
    conversation = Conversation.objects.create(
        organisation=organisation_of(actor),
        team=team,
        user=person_of(actor),
        title=chat.title,
        named_by=NamedBy.PERSON,
        model=chat.model,
        settings=settings,
        columns=columns,
        folder=chat.folder,
        pinned=chat.pinned,
        archived_at=now if chat.archived else None,
        created_at=_instant(chat.created_at, now),
        updated_at=_instant(chat.updated_at, now),
    )
    files = {id: _add_file(actor, id, name, data) for id, (name, data) in chat.files.items()}
    # Ids of one millisecond are in no order, but versions are ordered by id.
    fresh = sorted(new_ids(len(chat.turns)))
    ids = {turn.id: id for turn, id in zip(chat.turns, fresh, strict=True)}
    Message.objects.bulk_create(
        Message(
            id=ids[turn.id],
            conversation=conversation,
            parent_id=ids[turn.parent] if turn.parent else None,
            role=turn.role,
            content=turn.content,
            reasoning=turn.reasoning,
            model=turn.model,
            state=turn.state,
            parts=_message_parts(turn, files),
            edited=turn.edited,
            column=turn.column,
            created_at=_instant(turn.created_at, now),
        )
        for turn in chat.turns
    )
    if chat.leaf:
        Conversation.objects.filter(id=conversation.id).update(leaf=ids[chat.leaf])
    return conversation


def _column(column: Mapping[str, Any]) -> dict[str, Any]:
    settings = Settings.from_stored(column.get("settings", {})).stored()
    blind = {"blind": True} if column.get("blind") is True else {}
    return {"model": column["model"], "settings": settings, "preset": ""} | blind


def _instant(text: str, otherwise: dt.datetime) -> dt.datetime:
    """Parse a time of the file. Return `otherwise` if it is invalid or in the future."""
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        return otherwise
    return instant if instant.tzinfo is not None and instant < otherwise else otherwise


def _add_file(actor: Actor, id: str, name: str, data: bytes) -> dict[str, Any]:
    try:
        file = add_file(actor, name, data)
    except UnsupportedFile as refused:
        raise Unusable(f"/files/{id}", file_text(refused, name)) from refused
    mark_sent([file.id])
    return facts_of(file)


def _message_parts(turn: ExportedMessage, files: dict[str, dict[str, Any]]) -> dict[str, Any]:
    parts = {name: turn.parts[name] for name in ("calls", "results", "sources", "summary")
             if name in turn.parts}  # fmt: skip
    for name in _WITH_FILES:
        attached = [
            files[file["id"]] for file in turn.parts.get(name, ()) if file.get("id") in files
        ]
        if attached:
            parts[name] = attached
    if turn.outcome:
        parts["outcome"] = dict(turn.outcome)
    return parts
