"""Decoding a streamed chat answer of the openai dialect, frame by frame.

The decoder looks into each frame and says what it means; the frame's own bytes stand beside the
events, for a stream to a client of the same dialect is forwarded as it came. What a frame may not
keep is already gone from those bytes: a usage chunk that the client did not ask for, and keys and
account ids inside an error.

    START --chunk--> OPEN --every choice finished--> COMPLETE --[DONE]--> ENDED
      any --error object--> FAILED      any --unreadable frame--> BROKEN

After COMPLETE a cut is no fault. After ENDED, FAILED and BROKEN nothing more is read.
"""

import msgspec

from gateway.codecs.errors import mask_members
from gateway.codecs.events import (
    Broken,
    BrokenFault,
    End,
    Event,
    UpstreamError,
    Usage,
)
from gateway.codecs.events import Step as Step
from gateway.codecs.openai.errors import read_object
from gateway.codecs.openai.stream_encode import Encoder as Encoder
from gateway.codecs.openai.translation import Translation
from gateway.codecs.openai.wire import (
    ABSENT,
    OVERLOADED_REASONS,
    Answer,
    ChoiceReader,
    ReadFault,
    error_of,
    given,
    read_answer,
)
from gateway.codecs.sse import FRAME_BYTES_MAX, Frame, FrameSplitter

DONE_FRAME = b"data: [DONE]\n\n"


class Decoder:
    """Reads one streamed answer.

    `usage_asked`: the client wants the usage chunk. `choices`: how many choices were asked for.
    `translate`: the events go to an encoder and tell all; sound is then of `audio_type`, for
    streamed sound is always bare samples.
    After any call `complete` says that a cut would be no fault, `usage` is the last raw usage
    object (F26) or None, `text_bytes` and `reasoning_bytes` count the UTF-8 bytes so far.
    """

    def __init__(
        self,
        *,
        usage_asked: bool,
        choices: int = 1,
        frame_bytes_max: int = FRAME_BYTES_MAX,
        translate: bool = False,
        audio_type: str = "audio/L16",
    ) -> None:
        self._splitter = FrameSplitter(frame_bytes_max)
        self._reader = ChoiceReader()
        self._usage_asked = usage_asked
        self._choices = choices
        self._closed = False
        self._translation = Translation(audio_type, whole=False) if translate else None
        self.usage: bytes | None = None
        self.complete = False

    @property
    def text_bytes(self) -> int:
        """UTF-8 bytes of text, refusals and tool calls."""
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

    def _read(self, frame: Frame) -> Step:
        raw, data = frame.raw, frame.data
        if not raw.isascii():
            try:
                raw.decode()
            except UnicodeDecodeError:
                return self._break("F16")
        if data is None:
            return Step(raw, [])
        try:
            answer = read_answer(data)
        except ReadFault:
            return self._read_word(raw, data.strip())
        error = error_of(answer, data)
        return self._read_chunk(frame, answer) if error is None else self._fail(frame, error)

    def _read_word(self, raw: bytes, word: bytes) -> Step:
        """Data that is no JSON object: nothing, the end marker, or a fault."""
        if not word:
            return Step(raw, [])
        if word != b"[DONE]":
            return self._break("F15")
        return self._end(marked=True, raw=raw) if self._reader.seen else self._break("F24")

    def _read_chunk(self, frame: Frame, answer: Answer) -> Step:
        raw, usage = frame.raw, None if answer.usage is ABSENT else given(answer.usage)
        events: list[Event] = []
        if answer.choices:
            for choice in answer.choices:
                if choice.finish_reason in OVERLOADED_REASONS:
                    return self._fail(frame, b'{"type":"overloaded_error"}')
                self._reader.read(choice, events)
                if choice.usage is not ABSENT:
                    usage = usage or given(choice.usage)
                if choice.finish_reason:
                    self.complete = self._reader.all_finished(self._choices)
        if usage is not None:
            self.usage = usage
            events.append(Usage(usage))
            if not self._usage_asked and not answer.choices:
                raw = b""
        if self._translation is not None:
            events = self._translation.complete(events, frame.data or b"")
        return Step(raw, events)

    def _read_leftover(self, frame: Frame) -> Step | None:
        """A last frame without its empty line counts if it is whole, else it is what was cut."""
        step = self._read(frame)
        if step.events and isinstance(step.events[-1], Broken):
            self._closed = False
            return None
        ending = b"" if not step.raw else b"\n" if step.raw.endswith((b"\n", b"\r")) else b"\n\n"
        return Step(step.raw + ending, step.events)

    def _cut(self) -> BrokenFault:
        return "F14" if self._reader.seen else "F24"

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


def _masked(frame: Frame) -> bytes:
    """The frame as it came, unless a text in it must be masked: then written anew.

    Nothing (b"") when it cannot be looked through; the relay then tells the error in its words.
    """
    try:
        told = msgspec.json.decode(frame.data or b"")
        masked = mask_members(told)
    except (msgspec.DecodeError, RecursionError):
        return b""
    return frame.raw if masked == told else b"data: " + msgspec.json.encode(masked) + b"\n\n"
