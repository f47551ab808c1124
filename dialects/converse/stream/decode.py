"""Decode a streamed answer of the converse dialect: a binary stream, one event in each message.

    START --messageStart--> OPEN --messageStop--> COMPLETE --metadata--> ENDED
      any --exception--> FAILED      any --unreadable message, unknown event--> BROKEN

A stream that breaks off after COMPLETE is not a fault; its usage is missing (F25). After ENDED,
FAILED and BROKEN no more is read. The bytes of a forwarded step are a server-sent event.
"""

import msgspec

from dialects.chat.events import Broken, Event, Start, Step, UpstreamError
from dialects.converse.answer.decode import read_usage
from dialects.converse.answer.events import BlockReader
from dialects.converse.answer.finish_reasons import MALFORMED, write_reason
from dialects.converse.answer.wire import Block, StreamEvent, read_event, usage_of
from dialects.converse.errors import error_frame
from dialects.converse.errors import read_exception as read_exception_of
from dialects.converse.stream.frames import write_block_stop, write_event, write_frame, write_stop
from dialects.errors.kinds import ErrorKind
from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import ReadFault
from dialects.streams.event_stream import EXCEPTION, Message, MessageFrames, read_exception
from dialects.streams.event_stream import MALFORMED as UNREADABLE
from dialects.streams.sse import FRAME_BYTES_MAX, Frame
from dialects.streams.stream import FrameDecoder, is_utf8

_KINDS = frozenset(
    {
        "messageStart",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    }
)
_OPENING = ("contentBlockStart", "contentBlockDelta")


class Decoder(FrameDecoder):
    """Reads one streamed answer; the steps have bytes if it is `forwarded`."""

    _reader: BlockReader

    def __init__(self, *, forwarded: bool = False, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        super().__init__(frame_bytes_max)
        self._forwarded = forwarded
        self._splitter = MessageFrames(frame_bytes_max, _read_message)
        self._reader = BlockReader()
        self._started = False
        # The block that a client has begun to receive; a call is never closed for its upstream
        # (F38).
        self._open: int | None = None

    def fail(self, kind: ErrorKind, message: str, request_id: str) -> bytes:
        """Return the frames that end a forwarded stream that failed on our side."""
        return error_frame(kind, message, request_id=request_id)

    def length_notice(self) -> bytes:
        """Return the frames that end the stream as if it had reached its length (F18)."""
        stop = b"" if self._open is None else write_block_stop(self._open)
        stop += write_stop(write_reason("length", refused=False))
        # The place of the usage and of the time.
        return stop + write_event("metadata", {"metrics": {"latencyMs": 0}})

    def _read(self, frame: Frame) -> Step:
        data = frame.data or b""
        if frame.event.startswith(EXCEPTION):
            name = frame.event.removeprefix(EXCEPTION)
            return self._fail(b"", read_exception_of(name, data))
        if not data.isascii() and not is_utf8(data):
            return self._break("F16")
        if frame.event not in _KINDS:
            return self._break("F15")
        try:
            event = read_event(data)
        except ReadFault:
            return self._repair(frame, marks=True)
        step = self._read_event(frame.event, event)
        # A frame that was repaired for reading is forwarded as it came.
        passes = self._forwarded and not step.raw and _passes(step)
        return Step(frame.raw, step.events) if passes else step

    @property
    def _seen(self) -> bool:
        return self._started or super()._seen

    def _read_event(self, kind: str, event: StreamEvent) -> Step:
        events: list[Event] = []
        if not self._started:
            self._started = True
            events.append(Start("", ""))
        index = event.content_block_index or 0
        self._open = index if kind in _OPENING and not _calls(event) else None
        if kind == "contentBlockStart":
            self._reader.open(index, event.start or Block(), events)
        elif kind == "contentBlockDelta":
            self._reader.add(index, event.delta or Block(), events)
        elif kind == "contentBlockStop":
            self._reader.close(index, events)
        elif kind == "messageStop":
            if event.stop_reason in MALFORMED:
                return self._break("F15")
            self._reader.finish(event.stop_reason or "", events)
            self.complete = True
        elif kind == "metadata":
            return self._read_metadata(event, events)
        return Step(b"", events)

    def _read_metadata(self, event: StreamEvent, events: list[Event]) -> Step:
        usage = usage_of(event)
        if usage is not None:
            self.usage = usage
            events.append(read_usage(usage))
        if not self.complete:
            return Step(b"", events)
        end = self._end(marked=True)
        return Step(b"", [*events, *end.events])


def _calls(event: StreamEvent) -> bool:
    block = event.start or event.delta
    return block is not None and block.tool_use is not None


def _read_message(message: Message) -> Frame:
    exception = read_exception(message)
    if exception is not None:
        return exception
    kind, payload = message.headers.get(":event-type", ""), message.payload
    if b"\n" in payload or b"\r" in payload:
        try:
            payload = msgspec.json.encode(msgspec.json.decode(payload))
        except NOT_JSON:
            return UNREADABLE
    return Frame(write_frame(kind, payload), kind, payload)


def _passes(step: Step) -> bool:
    """Return whether a client may receive the frame of a step."""
    return not (step.events and isinstance(step.events[-1], Broken | UpstreamError))
