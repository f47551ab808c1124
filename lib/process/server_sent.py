"""Server-sent events (text/event-stream), as pages read them."""

import re
from collections.abc import AsyncIterator
from typing import Final

from django.http import StreamingHttpResponse

PING_S: Final = 15.0
"""How often a silent stream sends a keep-alive, so that no proxy closes it."""

# Readers treat each of these as a line end.
_LINE_END: Final = re.compile(r"\r\n|[\r\n]")


def server_sent(data: str, *, id: str | None = None, event: str | None = None) -> str:
    """Encode one message of an event stream."""
    head = "" if id is None else f"id: {id}\n"
    head += "" if event is None else f"event: {event}\n"
    return head + "".join(f"data: {line}\n" for line in _LINE_END.split(data)) + "\n"


def event_stream(messages: AsyncIterator[str]) -> StreamingHttpResponse:
    """Return the response that sends events as they arrive."""
    response = StreamingHttpResponse(messages, content_type="text/event-stream")
    response["X-Accel-Buffering"] = "no"
    return response
