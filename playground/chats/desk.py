"""Builds the context around a chat: the log, the list of conversations, the models."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest

from accounts.access.access import scope_of
from accounts.access.actors import Actor, organisation_of, person_of, slug_of
from content.prompts.settings import Settings
from lib.ids import id_text, parse_id
from playground.answers.late_charges import late_charges
from playground.chats.chips import chips
from playground.conversations.conversations import (
    being_named,
    current_path,
    listed_chats,
    messages_of,
    models_last_used,
    running_conversations,
    tree_of,
)
from playground.messages import page
from playground.models import Conversation, Message, RunState
from playground.models_offered.offered_models import chat_models
from playground.panel.panel import PANES, form_of, panel_context
from playground.panel.words import SHORTCUTS
from playground.payers.paying import payers_context
from playground.preferences.preferences import organisation_model, preference_of
from playground.preferences.shortcuts import apply_rebindings, code_of
from playground.turns.turns import answer_so_far
from usage.feedback.feedback import opinions_of

SHOWN_AT_ONCE: Final = 40


def log_context(
    actor: Actor, conversation: Conversation | None, message_id: str = ""
) -> dict[str, Any]:
    """Build the context of the last messages in the current branch. It reaches back at least to
    `message_id`."""
    if conversation is None:
        return {"articles": [], "earlier": "", "seen": ""}
    path = current_path(conversation)
    first = max(0, len(path) - SHOWN_AT_ONCE)
    id: UUID | None = parse_id(message_id)
    if id is not None and id in path:
        first = min(first, path.index(id))
    return {
        "articles": articles_of(messages_of(path[first:]), slug_of(actor), conversation),
        "earlier": id_text(path[first]) if first else "",
        "seen": id_text(path[-1]) if path else "",
    }


def articles_of(
    messages: list[Message], slug: str, conversation: Conversation
) -> list[dict[str, Any]]:
    """Return messages for their templates, with their versions."""
    tree = tree_of(conversation)
    opinions = opinions_of(
        conversation.organisation_id,
        conversation.user_id,
        [message.request_id for message in messages if message.request_id],
    )
    late = late_charges(conversation.organisation_id, messages)
    articles = []
    for message in messages:
        answer = None
        if message.run is not None and message.run.state == RunState.RUNNING:
            answer = answer_so_far(message.run)
            if answer is None:
                message.refresh_from_db()
        message.conversation = conversation
        versions = page.versions_of(tree, message.id)
        opinion = opinions.get(message.request_id) if message.request_id else None
        articles.append(page.message_context(message, slug, answer, versions, opinion, late))
    return articles


# The event by which pages ask for the list of conversations again, each with its own filters.
CHATS_CHANGED: Final = "chats-changed"


def list_context(
    actor: Actor, open_chat: str, search: str = "", *, archived: bool = False
) -> dict[str, Any]:
    """Build the context of the conversation list, filtered or not. `open_chat` is the current
    conversation."""
    running = running_conversations(actor)
    chats = listed_chats(actor, search, archived=archived)
    return {
        "running_chats": running,
        "groups": page.chat_groups(chats, running, slug_of(actor)),
        "changing": bool(running) or any(being_named(chat) for chat in chats),
        "open_chat": open_chat,
        "search": search,
        "archived": archived,
    }


def desk_context(
    request: HttpRequest,
    actor: Actor,
    conversation: Conversation | None,
    model: str,
    name: str,
    form: Mapping[str, str] | None = None,
    file_ids: Sequence[str] = (),
) -> dict[str, Any]:
    """Build the context around every log: list, panel, files, keys. `name` is the page's title
    without a conversation. `form` has the panel's values, or None for those of the conversation."""
    if form is None:
        form = form_of(Settings.from_stored(conversation.settings)) if conversation else {}
    pane = request.GET.get("panel", "")
    may_send = scope_of(actor, "playground.use") is not None
    return {
        **list_context(actor, id_text(conversation.id) if conversation else ""),
        **panel_context(actor, model, form),
        **keys_context(actor),
        "chips": chips(actor, file_ids),
        "conversation": conversation,
        "chat_title": conversation.title if conversation else name,
        "pane": pane if pane in PANES else "",
        "fold": "chats",
        "may_send": may_send,
        **(payers_context(actor, request.POST.dict(), conversation) if may_send else {}),
        "temporary": "tmp" in request.GET or "temporary" in request.POST,
    }


def models_context(actor: Actor, chosen: str) -> dict[str, Any]:
    """Build the context of the models that can chat, and the chosen one."""
    models = chat_models(actor)
    names = [model.name for model in models]
    return {
        "models": models,
        "chosen_model": chosen if chosen in names else first_model(actor, names),
    }


def first_model(actor: Actor, names: Sequence[str]) -> str:
    """Return the model of a new chat: the person's choice, else the last used model, else the
    organisation's choice, else the first by name, or "" if none is offered."""
    person = actor.user and preference_of(actor.user).default_model
    if person in names:
        return person or ""
    preferred = [*models_last_used(actor)[:1], organisation_model(organisation_of(actor)), *names]
    return next((name for name in preferred if name in names), "")


def keys_context(actor: Actor) -> dict[str, Any]:
    """Build the context of the person's shortcuts, for the script and for display."""
    preference = preference_of(person_of(actor))
    letters = apply_rebindings(preference.keys)
    return {
        "keys": json.dumps({code_of(letter): act for act, letter in letters.items()}),
        "letter_keys": preference.letter_keys,
        "enter_sends": preference.enter_sends,
        "shortcuts": [(act, letter, str(SHORTCUTS[act])) for act, letter in letters.items()],
    }
