"""Decode a streamed text completion, frame by frame.

    START --chunk--> OPEN --every choice finished--> COMPLETE --[DONE]--> ENDED
      any --[DONE] before any usage--> MARKED --usage, or the end of the connection--> ENDED
      any --error object--> FAILED      any --unreadable frame--> BROKEN

A stream that breaks off after COMPLETE is not a fault. After ENDED, FAILED and BROKEN no more is
read. Each step has a frame's events and its bytes, without what the client may not see: a usage
chunk that it did not ask for, and keys and account ids inside an error.
"""

from dialects.chat.events import Broken, Event, Step, Usage
from dialects.chat.fold import AnswerFault
from dialects.endpoints.completions.wire import ChoiceReader, read_choices, usage_of
from dialects.openai.unary import RawMembers, open_answer
from dialects.streams.sse import FRAME_BYTES_MAX, Frame
from dialects.streams.stream import FrameDecoder, is_utf8, mask_frame, write_data

DONE_FRAME = b"data: [DONE]\n\n"
_LENGTH = (
    b'data: {"id":"","object":"text_completion","created":0,"model":"",'
    b'"choices":[{"text":"","index":%d,"logprobs":null,"finish_reason":"length"}]}\n\n'
)


class Decoder(FrameDecoder):
    """Reads one streamed answer. `include_usage`: the client wants the usage chunk. `choices`: the
    requested number over all prompts.
    """

    end_marker = DONE_FRAME
    _reader: ChoiceReader

    def __init__(
        self, *, include_usage: bool, choices: int = 1, frame_bytes_max: int = FRAME_BYTES_MAX
    ) -> None:
        super().__init__(frame_bytes_max)
        self._reader = ChoiceReader()
        self._include_usage = include_usage
        self._choices = choices

    def length_notice(self) -> bytes:
        """Return the frames that end the stream as if it had reached its length (F18); a choice
        that has ended does not end again (F30)."""
        return b"".join(_LENGTH % at for at in self._reader.unfinished(self._choices)) + DONE_FRAME

    def _read(self, frame: Frame) -> Step:
        if not is_utf8(frame.raw):
            return self._break("F16")
        word = (frame.data or b"").strip()
        if not word:
            return Step(frame.raw, [])
        if word == b"[DONE]":
            return self._read_mark(frame)
        try:
            members = open_answer(word)
            if self.waits_for_usage:
                return self._read_late(frame, members)
            return self._read_chunk(frame.raw, members)
        except AnswerFault as fault:
            if isinstance(fault.event, Broken):
                broken = fault.event.fault
                return self._repair(frame) if broken == "F15" else self._break(broken)
            if self.waits_for_usage:
                return self._end(marked=True, raw=DONE_FRAME)
            self._closed = True
            return Step(mask_frame(frame, write_data), [fault.event])

    def _read_mark(self, frame: Frame) -> Step:
        if not self._reader.seen:
            return self._break("F24")
        if self.usage is None and not self.waits_for_usage:
            # Some servers send it behind the marker.
            self.waits_for_usage = self.complete = True
            return Step(b"", [])
        return self._end(marked=True, raw=frame.raw)

    def _read_late(self, frame: Frame, members: RawMembers) -> Step:
        """Read a frame behind the end marker: nothing but its usage belongs to the answer."""
        usage = usage_of(members, [])
        if usage is None:
            return Step(b"", [])
        self.usage = usage
        step = self._end(marked=True, raw=frame.raw if self._include_usage else b"")
        return Step(step.raw + DONE_FRAME, [Usage(usage), *step.events])

    def _stop(self) -> Step:
        if not self.waits_for_usage:
            return super()._stop()
        return self._end(marked=True, raw=DONE_FRAME)

    def _read_chunk(self, raw: bytes, members: RawMembers) -> Step:
        events: list[Event] = []
        choices = read_choices(members)
        for choice in choices:
            self._reader.read(choice, events)
        if choices:
            self.complete = self._reader.all_finished(self._choices)
        usage = usage_of(members, choices)
        if usage is not None:
            self.usage = usage
            events.append(Usage(usage))
            if not self._include_usage and not choices:
                raw = b""
        return Step(raw, events)
