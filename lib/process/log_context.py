"""The id of the request or background job that the running code belongs to, for log lines."""

import asyncio
from contextvars import ContextVar
from typing import Final
from uuid import UUID

from lib.ids import id_text

REQUEST_ID: Final[ContextVar[UUID | str | None]] = ContextVar("request_id", default=None)
"""The id that the client receives, or a task's id; None outside of both."""


def current_request_id() -> str | None:
    """Return the request id for log lines, or None. A callback of the event loop has none: it runs
    in the context that opened the connection, which many requests share."""
    try:
        if asyncio.current_task() is None:
            return None
    except RuntimeError:
        # A thread without an event loop has its own caller's context.
        pass
    value = REQUEST_ID.get()
    return id_text(value) if isinstance(value, UUID) else value
