"""A kept request as a new chat of its reader: model, settings and messages, without sending
anything. The chat is temporary, so that no text outlives its retention in it."""

from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext

from accounts.access.access import require
from accounts.access.actors import Actor
from content.log.conversation import request_of
from content.log.log import read_entry
from lib.refusal import Refused
from playground.chats.export_format import Unusable, write_file
from playground.chats.export_import import import_conversations
from playground.content_log.chat_file import exported_chat
from playground.conversations.temporary_chats import visit_temporary
from playground.models import Conversation, Message, MessageRole


def open_in_playground(actor: Actor, request_id: UUID, reason: str) -> Conversation:
    """Return a new chat with a kept request, and record the reading. Raises AccessDenied, Http404,
    Refused without a reason, or if it is no chat."""
    require(actor, "playground.use")
    entry, kept = read_entry(actor, request_id, reason)
    request = request_of(kept, entry.dialect, entry.model)
    if request is None:
        raise Refused("reason", gettext("The playground cannot open this request: it is no chat."))
    try:
        with transaction.atomic():
            (conversation,) = import_conversations(
                actor, write_file(exported_chat(entry.model, request))
            )
            conversation.refresh_from_db()
            visit_temporary(conversation)
    except Unusable as fault:
        text = gettext("The playground cannot open this request: %(fault)s.") % {"fault": fault}
        raise Refused("reason", text) from fault
    return conversation


def last_question(conversation: Conversation) -> Message | None:
    """Return the message that the chat ends with, if it has no answer yet."""
    leaf = conversation.leaf
    return leaf if leaf is not None and leaf.role == MessageRole.USER else None
