"""Server-sent events (text/event-stream), as pages read them."""

import re
from collections.abc import AsyncIterator
from typing import Final

from django.http import StreamingHttpResponse

PING_S: Final = 15.0
"""A stream that has nothing to say says so this often, lest somebody on the way cut it."""

# Readers treat each of these as a line end.
_LINE_END: Final = re.compile(r"\r\n|[\r\n]")


def server_sent(data: str, *, id: str | None = None, event: str | None = None) -> str:
    """Encode one message of an event stream."""
    head = "" if id is None else f"id: {id}\n"
    head += "" if event is None else f"event: {event}\n"
    return head + "".join(f"data: {line}\n" for line in _LINE_END.split(data)) + "\n"


def event_stream(messages: AsyncIterator[str]) -> StreamingHttpResponse:
    """The answer that sends them as they come."""
    response = StreamingHttpResponse(messages, content_type="text/event-stream")
    response["X-Accel-Buffering"] = "no"
    return response
