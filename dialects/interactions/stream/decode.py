"""Decode a streamed answer of the interactions dialect, event by event.

The decoder returns the meaning of each event together with its bytes, because a stream to a client
of the same dialect is forwarded unchanged. Only keys and account ids inside an error are already
removed from those bytes.

    START --event--> OPEN --interaction.completed--> COMPLETE --[DONE]--> ENDED
      any --error | status failed--> FAILED      any --unreadable event--> BROKEN

A stream that breaks off after COMPLETE is not a fault. After ENDED, FAILED and BROKEN no more is
read.
"""

from typing import Any

from dialects.chat.chat import JsonObject
from dialects.chat.events import Step
from dialects.errors.kinds import ErrorKind
from dialects.interactions import errors
from dialects.interactions.answer.events import StepReader
from dialects.interactions.answer.finish_reasons import read_reason
from dialects.interactions.answer.steps_builder import StepsBuilder, with_steps
from dialects.interactions.answer.wire import (
    StreamEvent,
    raw_steps,
    read_delta,
    read_event,
    read_interaction,
)
from dialects.interactions.stream.encode import write_event
from dialects.json.raw_json import ReadFault, members_of, value_bytes
from dialects.streams.sse import FRAME_BYTES_MAX, Frame
from dialects.streams.stream import FrameDecoder, is_utf8, mask_frame


class Decoder(FrameDecoder):
    """Reads one streamed answer. `translate`: the events are complete, for an encoder. `response`
    is the whole interaction once it is complete, None until then and for a translation.
    """

    end_marker = errors.DONE
    _reader: StepReader

    def __init__(self, *, frame_bytes_max: int = FRAME_BYTES_MAX, translate: bool = False) -> None:
        super().__init__(frame_bytes_max)
        self._reader = StepReader(translate=translate)
        self._translate = translate
        self._builder = StepsBuilder()
        self._begun: JsonObject = {}
        # The step that has not stopped; a call is never stopped for its upstream (F38).
        self._open: int | None = None
        self.response: bytes | None = None

    def fail(self, kind: ErrorKind, message: str, request_id: str) -> bytes:
        """Return the frames that end a failed forwarded stream."""
        return errors.error_frame(kind, message, request_id=request_id)

    def length_notice(self) -> bytes:
        """Return the frames that end the stream as if it had reached its length (F18)."""
        stop = b"" if self._open is None else write_event("step.stop", {"index": self._open})
        interaction = {"id": ""} | self._begun | {"status": "incomplete"}
        last = write_event("interaction.completed", {"interaction": interaction})
        return stop + last + errors.DONE

    def _read(self, frame: Frame) -> Step:
        raw, data = frame.raw, frame.data
        if not raw.isascii() and not is_utf8(raw):
            return self._break("F16")
        if data is None:
            return Step(raw, [])
        try:
            event = read_event(data)
        except ReadFault:
            return self._read_word(frame, data.strip())
        if self.complete:
            # Nothing after the end belongs to the answer (F30).
            return Step(b"", [])
        return self._read_event(frame, event)

    def _read_word(self, frame: Frame, word: bytes) -> Step:
        """Read data that is not a JSON object. It is skipped, the end marker, an invalid number
        (F27), or a fault."""
        if not word:
            return Step(frame.raw, [])
        if word != b"[DONE]":
            return self._repair(frame, marks=self._translate)
        if self.complete:
            return self._end(marked=True, raw=frame.raw)
        return self._break(self._cut())

    def _read_event(self, frame: Frame, event: StreamEvent) -> Step:
        raw, reader = frame.raw, self._reader
        if (error := value_bytes(event.error)) is not None:
            return self._refuse(frame, error)
        match event.event_type:
            case "step.delta":
                return Step(raw, self._add(event))
            case "step.start":
                step = members_of(event.step)
                self._open = None if step.get("type") == "function_call" else event.index
                if not self._translate:
                    self._builder.start(event.index, step)
                return Step(raw, reader.start(event.index, event.step))
            case "step.stop":
                self._open = None
                if not self._translate:
                    self._builder.stop(event.index)
                return Step(raw, reader.stop(event.index))
            case "interaction.created" | "interaction.completed":
                return self._read_interaction(frame, event)
            case _:
                return Step(raw, [])

    def _add(self, event: StreamEvent) -> list[Any]:
        if not self._translate:
            self._builder.add(event.index, members_of(event.delta))
        return self._reader.add(event.index, read_delta(event.delta or b"{}"), event.delta)

    def _read_interaction(self, frame: Frame, event: StreamEvent) -> Step:
        try:
            interaction = read_interaction(event.interaction or b"{}")
        except ReadFault:
            return self._break("F15")
        if (error := interaction.failure) is not None:
            return self._with_usage(self._refuse(frame, error), value_bytes(interaction.usage))
        if event.event_type == "interaction.created":
            self._begun = members_of(event.interaction)
            return Step(frame.raw, self._reader.begin(interaction))
        events = self._reader.finish(interaction)
        self.usage = value_bytes(interaction.usage)
        self.complete = True
        if not self._translate:
            if read_reason(interaction, called=False) == "length":
                self._builder.drop_cut_call()
            steps = self._builder.steps()
            whole = bytes(event.interaction)
            self.response = whole if raw_steps(interaction.steps) else with_steps(whole, steps)
        return Step(frame.raw, events)

    def _refuse(self, frame: Frame, error: bytes) -> Step:
        return self._fail(mask_frame(frame, _write_failure), errors.read_object(error))


def _write_failure(value: Any) -> bytes:
    # The event's name is taken from its data, because the name itself may contain anything (F31).
    failed = value.get("event_type") == "interaction.completed"
    kind = "interaction.completed" if failed else "error"
    return write_event(kind, {name: item for name, item in value.items() if name != "event_type"})
