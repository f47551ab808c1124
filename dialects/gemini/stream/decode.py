"""Decode a streamed answer of the gemini dialect, frame by frame.

The decoder returns the meaning of each frame together with its bytes, because a stream to a client
of the same dialect is forwarded unchanged. It reads server-sent events and a JSON array; the first
byte decides. Upstreams are asked for events: for a client that wants an array, each event's data
becomes an element.

    START --frame--> OPEN --every candidate finished--> COMPLETE --end or ]--> ENDED
      any --error object--> FAILED      any --unreadable frame--> BROKEN

A break after COMPLETE is not a fault: events have no end marker, an array has its bracket. After
ENDED, FAILED and BROKEN no more is read.
"""

from typing import Any

import msgspec

from dialects.chat import events as neutral
from dialects.errors.kinds import ErrorKind
from dialects.gemini.answer.events import CandidateReader
from dialects.gemini.answer.wire import Answer, read_answer
from dialects.gemini.errors import (
    ARRAY_CLOSE,
    ARRAY_NEXT,
    ARRAY_OPEN,
    error_frame,
    read_object,
)
from dialects.gemini.stream.encode import write_cut
from dialects.gemini.stream.framing import CLOSED, Framing
from dialects.gemini.usage import quantities, with_searches
from dialects.json.raw_json import ReadFault, value_bytes
from dialects.streams.json_repair import repair_frame
from dialects.streams.sse import FRAME_BYTES_MAX, Frame, read_frame
from dialects.streams.stream import FrameDecoder, is_utf8, mask_frame
from dialects.usage.usage import Counts


class Decoder(FrameDecoder):
    """Reads one streamed answer. `choices`: the requested number of candidates. `array`: the client
    wants an array. With `translate`, the events are complete, and the ids of calls are derived from
    `request_id`.
    """

    _reader: CandidateReader

    def __init__(
        self,
        *,
        choices: int = 1,
        array: bool = False,
        translate: bool = False,
        request_id: str = "",
        frame_bytes_max: int = FRAME_BYTES_MAX,
    ) -> None:
        super().__init__(frame_bytes_max)
        self._framing = self._splitter = Framing(frame_bytes_max)
        self._reader = CandidateReader(translate=translate, request_id=request_id)
        self._translate = translate
        self._choices = choices
        self._array = array
        self._started = not translate
        self._written = 0
        self._counted: bytes | None = None

    def fail(self, kind: ErrorKind, message: str, request_id: str) -> bytes:
        """Return the frames that end a forwarded stream that failed on our side."""
        first = self._written == 0
        return error_frame(kind, message, request_id=request_id, array=self._as_array, first=first)

    def length_notice(self) -> bytes:
        """Return the frames that end the stream as if it had reached its length (F18)."""
        cut = self._reader.unfinished(self._choices)
        return write_cut(cut, array=self._as_array, first=self._written == 0)

    def finish(self) -> list[neutral.Event]:
        """Return the finish of candidates whose answer is complete without a reason."""
        return self._reader.finish()

    def _read(self, frame: Frame) -> neutral.Step:
        raw, data = frame.raw, frame.data
        if not raw.isascii() and not is_utf8(raw):
            return self._refuse("F16")
        if data is None:
            return self._read_mark(frame)
        try:
            answer = read_answer(data)
        except ReadFault:
            repaired = repair_frame(frame, marks=self._translate)
            if repaired is not None:
                return self._read(repaired)
            return (
                neutral.Step(self._forward(frame), []) if not data.strip() else self._refuse("F15")
            )
        error = value_bytes(answer.error)
        if error is None:
            return self._read_frame(frame, answer)
        if self.complete:
            return neutral.Step(b"", [])
        return self._pass_error(frame, read_object(error).event)

    def _read_mark(self, frame: Frame) -> neutral.Step:
        if frame.event != CLOSED:
            return neutral.Step(self._forward(frame), [])
        if self.complete:
            return self._end(marked=True, raw=frame.raw)
        return self._break(self._cut())

    def _refuse(self, fault: neutral.BrokenFault) -> neutral.Step:
        """Return the step for an unreadable frame. After the end of the answer, the frame is
        ignored (F30)."""
        return neutral.Step(b"", []) if self.complete else self._break(fault)

    def _read_frame(self, frame: Frame, answer: Answer) -> neutral.Step:
        events: list[neutral.Event] = []
        if not self._started:
            self._started = True
            events.append(neutral.Start(answer.response_id or "", answer.model_version or ""))
        error = self._reader.read(answer, events)
        if error is not None:
            step = self._pass_error(frame, error)
            return neutral.Step(step.raw, [*events, *step.events])
        self.complete = bool(self._reader.seen) and self._reader.all_finished(self._choices)
        self._count(value_bytes(answer.usage_metadata), events)
        raw = self._forward(frame)
        self._written += 1
        return neutral.Step(raw, events)

    @property
    def _as_array(self) -> bool:
        return self._array or self._framing.array

    @property
    def _converts(self) -> bool:
        return self._array and not self._framing.array

    def _forward(self, frame: Frame) -> bytes:
        """Return a frame in the client's form. An array has no place for comments."""
        if not self._converts:
            return frame.raw
        data = frame.data or b""
        if data not in frame.raw:
            # A frame that was repaired for reading is forwarded unchanged.
            data = read_frame(frame.raw).data or b""
        return (ARRAY_NEXT if self._written else ARRAY_OPEN) + data if data.strip() else b""

    def _count(self, usage: bytes | None, events: list[neutral.Event]) -> None:
        """Append the usage up to now, including the searches that the answer reports separately."""
        self._counted = usage or self._counted
        if self._counted is None:
            return
        counted = with_searches(self._counted, self._reader.searches)
        if counted == self.usage:
            return
        self.usage = counted
        counts = None
        if self._translate:
            meters = quantities(counted).meters
            counts = Counts.of(meters) if meters else None
        events.append(neutral.Usage(counted, counts))

    def _read_leftover(self, frame: Frame) -> list[neutral.Step]:
        step = self._read(frame)
        if step.events and isinstance(step.events[-1], neutral.Broken):
            self._closed = False
            return []
        if self._converts:
            return [step]
        ending = b"\r\n" if step.raw.endswith((b"\n", b"\r")) else b"\r\n\r\n"
        return [neutral.Step(step.raw + ending if step.raw else b"", step.events)]

    def _stop(self) -> neutral.Step:
        return self._finish(marked=not self._framing.array) if self.complete else super()._stop()

    def _finish(self, *, marked: bool) -> neutral.Step:
        """Finish a complete answer. An array still needs its closing bracket."""
        return self._end(marked=marked, raw=ARRAY_CLOSE if self._as_array else b"")

    def _break(self, fault: neutral.BrokenFault) -> neutral.Step:
        return self._finish(marked=False) if self.complete else super()._break(fault)

    def _pass_error(self, frame: Frame, error: neutral.UpstreamError) -> neutral.Step:
        self._closed = True
        raw = mask_frame(frame, lambda value: _write_error(frame, value))
        if raw and self._converts:
            raw = self._forward(read_frame(raw))
        return neutral.Step(raw + ARRAY_CLOSE if raw and self._as_array else raw, [error])


def _write_error(frame: Frame, value: Any) -> bytes:
    written, data = msgspec.json.encode(value), frame.data or b""
    if frame.raw.endswith(data):
        return frame.raw.removesuffix(data) + written
    return b"data: " + written + b"\r\n\r\n"
