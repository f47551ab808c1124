"""Decode a streamed chat answer of the openai dialect, frame by frame.

The decoder returns the meaning of each frame together with its bytes, because a stream to a client
of the same dialect is forwarded unchanged. Those bytes no longer contain a usage chunk that the
client did not ask for, nor keys and account ids inside an error.

    START --chunk--> OPEN --every choice finished--> COMPLETE --[DONE]--> ENDED
      any --[DONE] before any usage--> MARKED --usage, or the end of the connection--> ENDED
      any --error object--> FAILED      any --unreadable frame--> BROKEN

A stream that breaks off after COMPLETE is not a fault. After ENDED, FAILED and BROKEN no more is
read.
"""

from dialects.chat.events import Event, Step, Usage
from dialects.json.raw_json import ABSENT, ReadFault, value_bytes
from dialects.openai.answer.events import Translation, read_usage
from dialects.openai.answer.finish_reasons import OVERLOADED_REASONS
from dialects.openai.answer.wire import (
    Answer,
    ChoiceReader,
    error_of,
    groq_usage,
    read_answer,
    read_chunk,
)
from dialects.openai.errors import read_object
from dialects.streams.sse import FRAME_BYTES_MAX, Frame
from dialects.streams.stream import FrameDecoder, is_utf8, mask_frame, write_data

DONE_FRAME = b"data: [DONE]\n\n"
_LENGTH = (
    b'data: {"id":"","object":"chat.completion.chunk","created":0,"model":"",'
    b'"choices":[{"index":%d,"delta":{},"finish_reason":"length"}]}\n\n'
)


class Decoder(FrameDecoder):
    """Reads one streamed answer. `include_usage`: the client wants the usage chunk. `choices`: the
    requested number of choices. `translate`: the events are complete, for an encoder; sound then
    has `audio_type`, because streamed sound is always raw samples, and the ids of calls are derived
    from `request_id`.
    """

    end_marker = DONE_FRAME
    _reader: ChoiceReader

    def __init__(
        self,
        *,
        include_usage: bool,
        choices: int = 1,
        frame_bytes_max: int = FRAME_BYTES_MAX,
        translate: bool = False,
        audio_type: str = "audio/L16",
        request_id: str = "",
    ) -> None:
        super().__init__(frame_bytes_max, skims=True)
        self._reader = ChoiceReader()
        self._include_usage = include_usage
        self._choices = choices
        self._translation = (
            Translation(audio_type, whole=False, request_id=request_id) if translate else None
        )

    def length_notice(self) -> bytes:
        """Return the frames that end the stream as if it had reached its length (F18); a choice
        that has ended does not end again (F30)."""
        return b"".join(_LENGTH % at for at in self._reader.unfinished(self._choices)) + DONE_FRAME

    def _read(self, frame: Frame) -> Step:
        raw, data = frame.raw, frame.data
        if not raw.isascii() and not is_utf8(raw):
            return self._break("F16")
        if data is None:
            return Step(raw, [])
        try:
            answer = read_answer(data) if self._translation is None else read_chunk(data)
        except ReadFault:
            return self._read_word(frame, data.strip())
        if self.waits_for_usage:
            return self._read_late(frame, answer)
        error = error_of(answer, data)
        return self._read_chunk(frame, answer) if error is None else self._refuse(frame, error)

    def _refuse(self, frame: Frame, error: bytes) -> Step:
        return self._fail(mask_frame(frame, write_data), read_object(error))

    def _read_word(self, frame: Frame, word: bytes) -> Step:
        """Read data that is not a JSON object: nothing, the end marker, an invalid number (F27), or
        a fault."""
        if not word:
            return Step(frame.raw, [])
        if word != b"[DONE]":
            return self._repair(frame, marks=self._translation is not None)
        if not self._reader.seen:
            return self._break("F24")
        if self.waits_for_usage:
            return self._end(marked=True, raw=frame.raw)
        finishes: list[Event] = []
        if self._translation is not None:
            # Some servers end without a finish reason.
            finishes = self._translation.finish(self._reader.unfinished())
        if self.usage is None:
            # Some servers send it behind the marker.
            self.waits_for_usage = self.complete = True
            return Step(b"", finishes)
        step = self._end(marked=True, raw=frame.raw)
        return Step(step.raw, [*finishes, *step.events])

    def _read_late(self, frame: Frame, answer: Answer) -> Step:
        """Read a frame behind the end marker: nothing but its usage belongs to the answer."""
        usage = None if answer.usage is ABSENT else value_bytes(answer.usage)
        if usage is None:
            return Step(b"", [])
        self.usage = usage
        step = self._end(marked=True, raw=frame.raw if self._include_usage else b"")
        event = Usage(usage) if self._translation is None else read_usage(Usage(usage))
        return Step(step.raw + DONE_FRAME, [event, *step.events])

    def _stop(self) -> Step:
        if not self.waits_for_usage:
            return super()._stop()
        return self._end(marked=True, raw=DONE_FRAME)

    def _read_chunk(self, frame: Frame, answer: Answer) -> Step:
        raw, usage = frame.raw, None if answer.usage is ABSENT else value_bytes(answer.usage)
        events: list[Event] = []
        if answer.choices:
            for choice in answer.choices:
                if choice.finish_reason in OVERLOADED_REASONS:
                    return self._refuse(frame, b'{"type":"overloaded_error"}')
                self._reader.read(choice, events)
                if choice.usage is not ABSENT:
                    usage = usage or value_bytes(choice.usage)
                if choice.finish_reason:
                    self.complete = self._reader.all_finished(self._choices)
        if usage is None and answer.x_groq is not ABSENT:
            usage = groq_usage(answer)
        if usage is not None:
            self.usage = usage
            events.append(Usage(usage))
            if not self._include_usage and not answer.choices:
                raw = b""
        if self._translation is not None:
            events = self._translation.complete(events, frame.data or b"", answer)
        return Step(raw, events)
