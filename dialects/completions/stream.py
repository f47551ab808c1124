"""Streamed text completions: decoded frame by frame, and written from the events of chat models.

    START --chunk--> OPEN --every choice finished--> COMPLETE --[DONE]--> ENDED
      any --error object--> FAILED      any --unreadable frame--> BROKEN

After COMPLETE a cut is no fault. After ENDED, FAILED and BROKEN nothing more is read. A frame's own
bytes stand beside its events, without what a client may not see: a usage chunk that it did not ask
for, and keys and account ids inside an error.
"""

from typing import Any

import msgspec

from dialects.completions.request import CompletionPlan
from dialects.completions.response import ID_PREFIX, add_counts, write_reason
from dialects.completions.wire import ChoiceReader, read_choices, usage_of
from dialects.errors import ErrorKind
from dialects.events import (
    Broken,
    Event,
    Finish,
    RefusalDelta,
    Start,
    Step,
    TextDelta,
    Usage,
)
from dialects.fold import AnswerFault
from dialects.mending import mend_frame
from dialects.openai.errors import frame as error_frame
from dialects.openai.usage import encode as write_usage
from dialects.plain import RawMembers, open_answer
from dialects.sse import FRAME_BYTES_MAX, Frame
from dialects.stream import FrameDecoder, is_utf8, mask_frame, write_data
from dialects.turns import derive_id
from dialects.usage import Counts

DONE_FRAME = b"data: [DONE]\n\n"


class Decoder(FrameDecoder):
    """Reads one streamed answer.

    `usage_asked`: the client wants the usage chunk. `choices`: how many were asked for over all
    prompts.
    """

    end_marker = DONE_FRAME
    _reader: ChoiceReader

    def __init__(
        self, *, usage_asked: bool, choices: int = 1, frame_bytes_max: int = FRAME_BYTES_MAX
    ) -> None:
        super().__init__(frame_bytes_max)
        self._reader = ChoiceReader()
        self._usage_asked = usage_asked
        self._choices = choices

    def _read(self, frame: Frame) -> Step:
        if not is_utf8(frame.raw):
            return self._break("F16")
        word = (frame.data or b"").strip()
        if not word:
            return Step(frame.raw, [])
        if word == b"[DONE]":
            seen = self._reader.seen
            return self._end(marked=True, raw=frame.raw) if seen else self._break("F24")
        try:
            return self._read_chunk(frame.raw, open_answer(word))
        except AnswerFault as fault:
            if isinstance(fault.event, Broken):
                mended = mend_frame(frame) if fault.event.fault == "F15" else None
                return self._break(fault.event.fault) if mended is None else self._read(mended)
            self._closed = True
            return Step(mask_frame(frame, write_data), [fault.event])

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
            if not self._usage_asked and not choices:
                raw = b""
        return Step(raw, events)


class Encoder:
    """Writes one stream for the client of `plan` from the events of all its calls.

    The calls may run one after the other or side by side. All chunks have one id, time and model;
    reasoning and tools are left out; the counts of all calls are told at the end, as one.
    """

    def __init__(self, plan: CompletionPlan) -> None:
        request = plan.requests[0]
        self._choices = plan.choices
        self._usage_asked = plan.usage_asked
        self._named = False
        self._head: dict[str, Any] = {
            "id": derive_id(ID_PREFIX, request.request_id),
            "object": "text_completion",
            "created": request.received_at,
            "model": request.model,
        }
        self._counts: dict[int, Counts] = {}

    def feed(self, event: Event, prompt: int = 0) -> bytes:
        """The frames of an event of the call for that prompt; b"" when it has none of its own."""
        match event:
            case Start(model=model):
                if model and not self._named:
                    self._named, self._head["model"] = True, model
            case Usage(counts=Counts() as counts):
                self._counts[prompt] = counts
            case TextDelta(choice=at, text=text) | RefusalDelta(choice=at, text=text):
                return self._choice(prompt, at, text, None)
            case Finish(choice=at, reason=reason):
                return self._choice(prompt, at, "", write_reason(reason))
        return b""

    def end(self) -> bytes:
        """What ends a complete answer."""
        if not self._usage_asked:
            return DONE_FRAME
        usage = write_usage(add_counts(self._counts.values()))
        return self._chunk({"choices": [], "usage": usage}) + DONE_FRAME

    def fail(self, kind: ErrorKind, message: str) -> bytes:
        """What ends an answer that has failed; no end marker follows."""
        return error_frame(kind, message)

    def _choice(self, prompt: int, at: int, text: str, reason: str | None) -> bytes:
        choice = {
            "text": text,
            "index": prompt * self._choices + at,
            "logprobs": None,
            "finish_reason": reason,
        }
        null = {"usage": None} if self._usage_asked else {}
        return self._chunk({"choices": [choice]} | null)

    def _chunk(self, body: dict[str, Any]) -> bytes:
        return b"data: " + msgspec.json.encode(self._head | body) + b"\n\n"
