"""Conversations as files: exported whole, imported as new ones."""

from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.access import Actor, require
from accounts.keys import playground_key
from billing.templatetags.money import money_request
from lib.ids import new_ids
from playground.attachments import add_file
from playground.conversations import messages_of, organisation_of, person_of, shown_path
from playground.models import Attachment, Conversation, Message
from playground.rules.exporting import Exported, Turn, Unusable, read_file, write_markdown
from playground.rules.settings import Settings
from playground.turns import facts_of

_FACTS = ("status", "kind", "finish_reason", "meters", "charge_nano", "hold_nano", "basis",
          "ttft_ms", "total_ms", "thought_ms")  # fmt: skip


def exported(conversation: Conversation) -> Exported:
    """A conversation with every branch that was not deleted."""
    messages = list(conversation.messages.filter(deleted_at=None).select_related("run"))
    kept = _reachable(messages)
    wanted = [UUID(one["id"]) for message in kept for one in message.parts.get("files", ())]
    found = Attachment.objects.filter(
        id__in=wanted, organisation=conversation.organisation, user=conversation.user
    )
    return Exported(
        title=conversation.title,
        model=conversation.model,
        settings=conversation.settings,
        leaf=str(conversation.leaf_id) if conversation.leaf_id else None,
        turns=tuple(turn_of(message) for message in kept),
        files={str(file.id): (file.name, bytes(file.data)) for file in found},
    )


def _reachable(messages: list[Message]) -> list[Message]:
    """Those whose parents are all there, parents first."""
    waiting: dict[UUID | None, list[Message]] = {}
    for message in sorted(messages, key=lambda one: one.id):
        waiting.setdefault(message.parent_id, []).append(message)
    kept: list[Message] = []
    level: list[UUID | None] = [None]
    while level:
        found = [message for parent in level for message in waiting.get(parent, ())]
        kept += found
        level = [message.id for message in found]
    return kept


def turn_of(message: Message) -> Turn:
    """A message as a file has it."""
    outcome = (message.run.outcome if message.run else None) or message.parts.get("outcome") or {}
    return Turn(
        id=str(message.id),
        parent=str(message.parent_id) if message.parent_id else None,
        role=message.role,
        content=message.content,
        reasoning=message.reasoning,
        model=message.model,
        state=message.state,
        parts={name: value for name, value in message.parts.items()
               if name not in ("outcome", "media")},
        edited=message.edited,
        column=message.column,
        created_at=message.created_at.isoformat(),
        outcome={name: outcome[name] for name in _FACTS if name in outcome},
    )  # fmt: skip


def markdown_of(conversation: Conversation) -> str:
    """The branch that is shown, to be read."""
    turns = [turn_of(message) for message in messages_of(shown_path(conversation))]
    costs = {turn.id: _cost(turn.outcome) for turn in turns if "charge_nano" in turn.outcome}
    return write_markdown(conversation.title, turns, costs)


def _cost(outcome: Any) -> str:
    meters = outcome.get("meters") or {}
    read = sum(n for name, n in meters.items() if name.startswith("in_"))
    written = sum(n for name, n in meters.items() if name.startswith("out_"))
    return f"{read} in, {written} out, {money_request(outcome['charge_nano'])}"


def import_conversation(actor: Actor, raw: Any) -> Conversation:
    """A new conversation with the tree of an exported one. Raises Unusable."""
    require(actor, "playground.use")
    chat = read_file(raw)
    try:
        settings = Settings.from_stored(chat.settings).stored()
    except TypeError as error:
        raise Unusable("/settings", "cannot be read") from error
    with transaction.atomic():
        conversation = Conversation.objects.create(
            organisation=organisation_of(actor),
            team=playground_key(organisation_of(actor)).team,
            user=person_of(actor),
            title=chat.title,
            model=chat.model,
            settings=settings,
        )
        files = {
            id: facts_of(add_file(actor, name, data)) for id, (name, data) in chat.files.items()
        }
        # Ids of one millisecond have no order of their own; versions are told apart by it.
        fresh = sorted(new_ids(len(chat.turns)))
        ids = {turn.id: id for turn, id in zip(chat.turns, fresh, strict=True)}
        for turn in chat.turns:
            Message.objects.create(
                id=ids[turn.id],
                conversation=conversation,
                parent_id=ids[turn.parent] if turn.parent else None,
                role=turn.role,
                content=turn.content,
                reasoning=turn.reasoning,
                model=turn.model,
                state=turn.state,
                parts=_parts(turn, files),
                edited=turn.edited,
                column=turn.column,
            )
        Conversation.objects.filter(id=conversation.id).update(
            leaf=ids.get(chat.leaf) if chat.leaf else None
        )
    return conversation


def _parts(turn: Turn, files: dict[str, dict[str, Any]]) -> dict[str, Any]:
    parts = {name: turn.parts[name] for name in ("calls", "results", "sources")
             if name in turn.parts}  # fmt: skip
    kept = [files[one["id"]] for one in turn.parts.get("files", ()) if one.get("id") in files]
    if kept:
        parts["files"] = kept
    if turn.outcome:
        parts["outcome"] = dict(turn.outcome)
    return parts
