"""The frames of a streamed answer of the converse dialect: server-sent events on their way through
the relay, Amazon's messages for the client.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from dialects.chat.chat import JsonObject
from dialects.converse.answer.encode import add_latency
from dialects.streams.event_stream import (
    EXCEPTION,
    EventWriter,
    write_exception,
)
from dialects.streams.event_stream import write_event as write_message_of_event
from dialects.streams.sse import Frame

_encode: Final = msgspec.json.Encoder().encode


def write_event(kind: str, body: JsonObject) -> bytes:
    """Return the frame of an event."""
    return write_frame(kind, _encode(body))


def write_block_stop(index: int) -> bytes:
    """Return the frame that ends a block."""
    return write_event("contentBlockStop", {"contentBlockIndex": index})


def write_stop(word: str) -> bytes:
    """Return the frame with the reason of the end."""
    return write_event("messageStop", {"stopReason": word})


def write_frame(kind: str, payload: bytes) -> bytes:
    """Return the frame of an event whose payload is one line of JSON."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), payload)


def open_writer(elapsed_ms: Callable[[], int]) -> EventWriter:
    """Return what makes Amazon's messages of frames; the last one has the time of the answer."""
    return EventWriter(partial(_write_message, elapsed_ms))


def _write_message(elapsed_ms: Callable[[], int], frame: Frame) -> bytes:
    data = frame.data or b""
    if frame.event.startswith(EXCEPTION):
        return write_exception(frame.event.removeprefix(EXCEPTION), data)
    if frame.event == "metadata":
        data = add_latency(data, elapsed_ms())
    return write_message_of_event(frame.event, data)
