"""The run behind a message: several messages can share one, as further answers of its request, or
as copies in other conversations."""

import datetime as dt
from typing import Any

from django.db import connection

from playground.models import Conversation, Message


def settings_of(message: Message) -> dict[str, Any]:
    """Return the settings that an answer was requested with. A message without a run, such as an
    imported one, has those of its column or conversation."""
    if message.run is not None:
        return dict(message.run.settings)
    columns = message.conversation.columns
    shared = message.conversation.settings
    return dict(columns[message.column]["settings"] if message.column < len(columns) else shared)


def hand_over_runs(conversation: Conversation, deleted_before: dt.datetime | None = None) -> None:
    """Before a conversation is removed, or its messages that were deleted before that time, hand
    each run that another message shares to this message. The run would be removed with its own
    message, and take the settings and the charge of the other one with it."""
    with connection.cursor() as cursor:
        cursor.execute(_HAND_OVER, {"chat": conversation.id, "before": deleted_before})


_HAND_OVER = """
    WITH RECURSIVE removed AS (
        SELECT id FROM playground_message WHERE conversation_id = %(chat)s
            AND (%(before)s::timestamptz IS NULL OR deleted_at < %(before)s)
        UNION
        SELECT m.id FROM playground_message m JOIN removed ON m.parent_id = removed.id
    ), heirs AS (
        SELECT DISTINCT ON (r.id) r.id AS run_id, m.id, m.parent_id, m.conversation_id, c.user_id
        FROM playground_message m
        JOIN playground_run r ON r.id = m.run_id
        JOIN playground_conversation c ON c.id = m.conversation_id
        WHERE r.assistant_message_id IN (SELECT id FROM removed) AND r.ended_at IS NOT NULL
            AND m.parent_id IS NOT NULL
            AND NOT EXISTS (SELECT FROM removed WHERE removed.id = m.id)
        ORDER BY r.id, m.conversation_id <> r.conversation_id, m.id
    )
    UPDATE playground_run r
    SET conversation_id = heirs.conversation_id, user_id = heirs.user_id,
        user_message_id = heirs.parent_id, assistant_message_id = heirs.id
    FROM heirs WHERE r.id = heirs.run_id"""
