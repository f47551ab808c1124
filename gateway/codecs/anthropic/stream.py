"""Decoding a streamed answer of the anthropic dialect, event by event.

The decoder looks into each event and says what it means; the event's own bytes stand beside that,
for a stream to a client of the same dialect is forwarded as it came. Only keys and account ids
inside an error are already gone from those bytes.

    START --message_start--> OPEN --message_delta with a stop_reason--> COMPLETE
    COMPLETE --message_stop--> ENDED
      any --error--> FAILED      any --unreadable event--> BROKEN

After COMPLETE a cut is no fault. After ENDED, FAILED and BROKEN nothing more is read. The `type` in
the data tells which event it is, else the name of the event does.
"""

import msgspec

from gateway.codecs.anthropic.blocks import BlockReader
from gateway.codecs.anthropic.errors import read_object
from gateway.codecs.anthropic.stream_encode import PING_FRAME as PING_FRAME
from gateway.codecs.anthropic.stream_encode import Encoder as Encoder
from gateway.codecs.anthropic.usage import merge, quantities
from gateway.codecs.anthropic.wire import (
    ABSENT,
    Message,
    ReadFault,
    StreamEvent,
    given,
    read_event,
    value_of,
)
from gateway.codecs.errors import mask_members
from gateway.codecs.events import (
    Broken,
    BrokenFault,
    End,
    Event,
    Start,
    Step,
    UpstreamError,
    Usage,
)
from gateway.codecs.sse import FRAME_BYTES_MAX, Frame, FrameSplitter
from gateway.codecs.usage import Counts

# The service tiers that an answer names, in openai's words.
_TIERS = {"standard": "default", "priority": "priority"}
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%s}\n\n'
_LENGTH = (
    b'event: message_delta\ndata: {"type":"message_delta",'
    b'"delta":{"stop_reason":"max_tokens","stop_sequence":null},"usage":%s}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)


class Decoder:
    """Reads one streamed answer.

    `translate`: the events go to an encoder and tell all. `answer_tool`: see `Encoded`. After any
    call `complete` says that a cut would be no fault, `usage` is the raw usage object so far (F26)
    or None, `text_bytes` and `reasoning_bytes` count the UTF-8 bytes so far.
    """

    def __init__(
        self,
        *,
        translate: bool = False,
        answer_tool: str = "",
        frame_bytes_max: int = FRAME_BYTES_MAX,
    ) -> None:
        self._splitter = FrameSplitter(frame_bytes_max)
        self._reader = BlockReader(translate=translate, answer_tool=answer_tool)
        self._translate = translate
        self._begun = False
        self._closed = False
        self.usage: bytes | None = None
        self.complete = False

    @property
    def text_bytes(self) -> int:
        """UTF-8 bytes of text and tool calls, the provider's own ones too."""
        return self._reader.text_bytes

    @property
    def reasoning_bytes(self) -> int:
        """UTF-8 bytes of reasoning."""
        return self._reader.reasoning_bytes

    def feed(self, chunk: bytes) -> list[Step]:
        """What is whole now. The last step holds End, UpstreamError or Broken when it is over."""
        if self._closed:
            return []
        steps: list[Step] = []
        for frame in self._splitter.feed(chunk):
            steps.append(self._read(frame))
            if self._closed:
                return steps
        if self._splitter.too_large:
            steps.append(self._break("F17"))
        return steps

    def end(self) -> list[Step]:
        """The upstream has closed: what was left over, then End or Broken unless it was over."""
        if self._closed:
            return []
        steps: list[Step] = []
        frame = self._splitter.end()
        if frame is not None and frame.data is not None:
            step = self._read_leftover(frame)
            if step is not None:
                steps.append(step)
        if not self._closed:
            steps.append(self._end(marked=False) if self.complete else self._break(self._cut()))
        return steps

    def length_notice(self) -> bytes:
        """What ends the forwarded stream here as if it had reached its length (F18).

        Open blocks end, but a tool call that is cut is never told as whole (F38).
        """
        stops = [b"%d" % index for index in self._reader.open_texts]
        # F31: line ends between the members of what an upstream sent would cut the event.
        usage = b" ".join((self.usage or b'{"output_tokens":0}').splitlines())
        return b"".join(_STOP % index for index in stops) + _LENGTH % usage

    def _read(self, frame: Frame) -> Step:
        raw, data = frame.raw, frame.data
        if not raw.isascii():
            try:
                raw.decode()
            except UnicodeDecodeError:
                return self._break("F16")
        if data is None or not data.strip():
            return Step(raw, [])
        try:
            event = read_event(data)
        except ReadFault:
            return self._break("F15")
        kind = event.type or frame.event
        if kind == "error" or given(event.error) is not None:
            return self._fail(frame, given(event.error) or data)
        if kind == "message_stop":
            return self._end(marked=True, raw=raw) if self._seen else self._break("F24")
        events: list[Event] = []
        self._read_event(kind, event, data, events)
        return Step(raw, events)

    @property
    def _seen(self) -> bool:
        return self._begun or self._reader.seen or self._reader.finished

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
        if self._begun:
            return
        self._begun = True
        if self._translate:
            events.append(read_start(message))

    def _count(self, raw: msgspec.Raw, events: list[Event]) -> None:
        told = None if raw is ABSENT else given(raw)
        if told is not None:
            self.usage = merge(self.usage, told)
            events.append(counted(self.usage) if self._translate else Usage(self.usage))

    def _read_leftover(self, frame: Frame) -> Step | None:
        """A last event without its empty line counts if it is whole, else it is what was cut."""
        step = self._read(frame)
        if step.events and isinstance(step.events[-1], Broken):
            self._closed = False
            return None
        ending = b"" if not step.raw else b"\n" if step.raw.endswith((b"\n", b"\r")) else b"\n\n"
        return Step(step.raw + ending, step.events)

    def _cut(self) -> BrokenFault:
        return "F14" if self._seen else "F24"

    def _end(self, *, marked: bool, raw: bytes = b"") -> Step:
        self._closed = self.complete = True
        return Step(raw, [End(marked)])

    def _break(self, fault: BrokenFault) -> Step:
        self._closed = True
        return Step(b"", [Broken(fault)])

    def _fail(self, frame: Frame, error: bytes) -> Step:
        self._closed = True
        fault = read_object(error)
        return Step(_masked(frame), [UpstreamError(fault.kind, fault.message, fault.code)])


def read_start(message: Message) -> Start:
    """What an answer says of itself."""
    usage = value_of(message.usage)
    tier = usage.get("service_tier") if isinstance(usage, dict) else None
    told = _TIERS.get(tier, "") if isinstance(tier, str) else ""
    return Start(message.id or "", message.model or "", 0, told)


def counted(raw: bytes) -> Usage:
    """A usage object with what it says in neutral words."""
    meters = quantities(raw).meters
    return Usage(raw, Counts.of(meters) if meters else None)


def _masked(frame: Frame) -> bytes:
    """The event as it came, unless a text in it must be masked: then written anew.

    Nothing (b"") when it cannot be looked through; the relay then tells the error in its words.
    """
    try:
        told = msgspec.json.decode(frame.data or b"")
        masked = mask_members(told)
    except (msgspec.DecodeError, RecursionError):
        return b""
    if masked == told:
        return frame.raw
    return b"event: error\ndata: " + msgspec.json.encode(masked) + b"\n\n"
