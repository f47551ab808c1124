"""Temporary chats: they exist while their page is open, and are deleted soon after."""

import datetime as dt
from typing import Final
from uuid import UUID

from django.db.models import Exists, OuterRef

from lib import clock
from lib.ids import new_id
from playground.conversations.conversations import dropping_its_files
from playground.models import Conversation, Run

STANDS_IDLE: Final = dt.timedelta(hours=1)
"""How long a temporary chat exists without a sign of life from its page."""
STANDS_LEFT: Final = dt.timedelta(minutes=1)
"""How long it exists after its page was left, because the page may be reloading."""


def visit_temporary(conversation: Conversation) -> None:
    """Record that a page of a temporary conversation was rendered. The conversation exists until
    the page is left."""
    conversation.ends_at, conversation.visit = clock.now() + STANDS_IDLE, new_id()
    conversation.save(update_fields=["ends_at", "visit"])


def record_visit(conversation: Conversation, visit: UUID | None, *, left: bool) -> None:
    """Record that the page of a visit is still open, or was left. Ignored if the page was reloaded
    in the meantime."""
    ends_at = clock.now() + (STANDS_LEFT if left else STANDS_IDLE)
    Conversation.objects.filter(id=conversation.id, visit=visit).update(ends_at=ends_at)


def drop_temporary(now: dt.datetime) -> None:
    """Delete the temporary conversations that have ended, with their files. One with an answer in
    progress is deleted after that has ended. Their requests stay in the books."""
    running = Run.objects.filter(conversation=OuterRef("pk"), ended_at=None)
    over = Conversation.objects.filter(~Exists(running), ends_at__lte=now)
    for conversation in over:
        with dropping_its_files(conversation):
            conversation.delete()
