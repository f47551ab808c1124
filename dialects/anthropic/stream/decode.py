"""Decode a streamed answer of the anthropic dialect, event by event.

The decoder returns the meaning of each event together with its bytes, because a stream to a client
of the same dialect is forwarded unchanged. Only keys and account ids inside an error are already
removed from those bytes.

    START --message_start--> OPEN --message_delta with a stop_reason--> COMPLETE
    COMPLETE --message_stop--> ENDED
      any --error--> FAILED      any --unreadable event--> BROKEN

A stream that breaks off after COMPLETE is not a fault. After ENDED, FAILED and BROKEN no more is
read. The `type` in the data identifies the event, or else the event's name.
"""

from typing import Any

import msgspec

from dialects.anthropic.answer.events import BlockReader
from dialects.anthropic.answer.wire import Message, StreamEvent, read_event
from dialects.anthropic.errors import read_object
from dialects.anthropic.usage import merge, quantities
from dialects.chat.events import Event, Start, Step, TextDelta, Usage
from dialects.json.raw_json import ABSENT, ReadFault, value_bytes, value_of
from dialects.streams.sse import FRAME_BYTES_MAX, Frame
from dialects.streams.stream import FrameDecoder, Template, is_utf8, mask_frame, write_data
from dialects.usage.usage import Counts

# The service tiers in an answer, by openai's names.
_TIERS = {"standard": "default", "priority": "priority"}
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%s}\n\n'
_MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_LENGTH = (
    b'event: message_delta\ndata: {"type":"message_delta",'
    b'"delta":{"stop_reason":"max_tokens","stop_sequence":null},"usage":%s}\n\n' + _MESSAGE_STOP
)


class Decoder(FrameDecoder):
    """Reads one streamed answer. `translate`: the events are complete, for an encoder.
    `answer_tool`: see `Encoded`.
    """

    end_marker = _MESSAGE_STOP
    _reader: BlockReader

    def __init__(
        self,
        *,
        translate: bool = False,
        answer_tool: str = "",
        frame_bytes_max: int = FRAME_BYTES_MAX,
    ) -> None:
        super().__init__(frame_bytes_max, skims=True)
        self._reader = BlockReader(translate=translate, answer_tool=answer_tool)
        self._translate = translate
        self._started = False

    def length_notice(self) -> bytes:
        """Return the frames that end the stream as if it had reached its length (F18).

        Open blocks are closed, but an incomplete tool call is never closed as complete (F38).
        """
        stops = [b"%d" % index for index in self._reader.open_texts]
        # F31: line ends between the members of the upstream's JSON would split the event.
        usage = b" ".join((self.usage or b'{"output_tokens":0}').splitlines())
        return b"".join(_STOP % index for index in stops) + _LENGTH % usage

    def _read(self, frame: Frame) -> Step:
        raw, data = frame.raw, frame.data
        if not raw.isascii() and not is_utf8(raw):
            return self._break("F16")
        if data is None or not data.strip():
            return Step(raw, [])
        try:
            event = read_event(data)
        except ReadFault:
            return self._repair(frame, marks=self._translate)
        kind = event.type or frame.event
        if kind == "error" or value_bytes(event.error) is not None:
            fault = read_object(value_bytes(event.error) or data)
            return self._fail(mask_frame(frame, _write_error), fault)
        if kind == "message_stop":
            return self._finish(raw) if self._seen else self._break("F24")
        events: list[Event] = []
        self._read_event(kind, event, data, events)
        return Step(raw, events)

    def _finish(self, raw: bytes) -> Step:
        events: list[Event] = []
        if self._translate:
            # Some servers send no stop reason.
            self._reader.finish("", "", events)
        step = self._end(marked=True, raw=raw)
        return Step(step.raw, [*events, *step.events])

    def _skip_alike(self, template: Template, chunk: bytes, at: int, steps: list[Step]) -> int:
        read = len(steps)
        at = super()._skip_alike(template, chunk, at, steps)
        for step in steps[read:]:
            for event in step.events:
                if isinstance(event, TextDelta):
                    # Citations tell their place in the text.
                    self._reader.characters += len(event.text)
        return at

    @property
    def _seen(self) -> bool:
        return self._started or self._reader.finished or super()._seen

    def _read_event(self, kind: str, event: StreamEvent, data: bytes, events: list[Event]) -> None:
        index = event.index or 0
        if kind == "content_block_delta":
            if event.delta is not None:
                self._begin(Message(), events)
                self._reader.add(index, event.delta, events)
        elif kind == "content_block_start":
            if event.content_block is not None:
                self._begin(Message(), events)
                self._reader.open(index, event.content_block, data, events)
        elif kind == "content_block_stop":
            self._reader.close(index, events)
        elif kind == "message_start":
            message = event.message or Message()
            self._begin(message, events)
            self._count(message.usage, events)
        elif kind == "message_delta":
            delta = event.delta
            if delta is not None and delta.stop_reason:
                self._begin(Message(), events)
                self._reader.finish(delta.stop_reason, delta.stop_sequence or "", events)
                self.complete = True
            self._count(event.usage, events)

    def _begin(self, message: Message, events: list[Event]) -> None:
        if self._started:
            return
        self._started = True
        if self._translate:
            events.append(read_start(message))

    def _count(self, raw: msgspec.Raw, events: list[Event]) -> None:
        usage = None if raw is ABSENT else value_bytes(raw)
        if usage is not None:
            self.usage = merge(self.usage, usage)
            events.append(read_usage(self.usage) if self._translate else Usage(self.usage))


def read_start(message: Message) -> Start:
    """Read the id, model and time of an answer."""
    usage = value_of(message.usage)
    tier = usage.get("service_tier") if isinstance(usage, dict) else None
    known_tier = _TIERS.get(tier, "") if isinstance(tier, str) else ""
    return Start(message.id or "", message.model or "", 0, known_tier)


def read_usage(raw: bytes) -> Usage:
    """Return a usage object together with its neutral counts."""
    meters = quantities(raw).meters
    return Usage(raw, Counts.of(meters) if meters else None)


def _write_error(value: Any) -> bytes:
    return b"event: error\n" + write_data(value)
