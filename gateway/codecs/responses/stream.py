"""Decoding a streamed answer of the responses dialect, event by event.

The decoder looks into each event and says what it means; the event's own bytes stand beside what
it says, for a stream to a client of the same dialect is forwarded as it came. Only keys and account
ids inside an error are already gone from those bytes.

    START --event--> OPEN --response.completed | response.incomplete--> ENDED
      any --response.failed | error--> FAILED      any --unreadable event--> BROKEN

After ENDED, FAILED and BROKEN nothing more is read: there is no [DONE] in this dialect, and one
that is sent all the same is not passed on.
"""

from typing import Any, Final

import msgspec

from gateway.codecs.errors import ErrorKind, mask_members
from gateway.codecs.events import Broken, BrokenFault, End, Event, UpstreamError
from gateway.codecs.events import Step as Step
from gateway.codecs.responses import errors
from gateway.codecs.responses.stream_encode import Encoder as Encoder
from gateway.codecs.responses.telling import AnswerReader
from gateway.codecs.responses.wire import (
    ABSENT,
    ReadFault,
    Response,
    StreamEvent,
    given,
    loose_object,
    read_event,
    read_response,
)
from gateway.codecs.sse import FRAME_BYTES_MAX, Frame, FrameSplitter

_BEGINNINGS: Final = frozenset({"response.created", "response.in_progress", "response.queued"})
_ENDINGS: Final = frozenset({"response.completed", "response.incomplete"})


class Decoder:
    """Reads one streamed answer.

    `translate`: the events go to an encoder and tell all. After any call `complete` says that a
    cut would be no fault, `usage` is the raw usage object or None, `searches` the web searches,
    `text_bytes` and `reasoning_bytes` count the UTF-8 bytes so far. `response` is the final
    response as it came, None until then.
    """

    def __init__(self, *, frame_bytes_max: int = FRAME_BYTES_MAX, translate: bool = False) -> None:
        self._splitter = FrameSplitter(frame_bytes_max)
        self._reader = AnswerReader(translate=translate)
        self._closed = False
        self._begun: bytes | None = None
        self._sequence = -1
        self._finished: list[bytes] = []
        self.usage: bytes | None = None
        self.response: bytes | None = None
        self.complete = False

    @property
    def text_bytes(self) -> int:
        """UTF-8 bytes of text, refusals and tool calls."""
        return self._reader.text_bytes

    @property
    def reasoning_bytes(self) -> int:
        """UTF-8 bytes of reasoning."""
        return self._reader.reasoning_bytes

    @property
    def searches(self) -> int:
        """How many web searches the answer made."""
        return self._reader.searches

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
        """The upstream has closed: what was left over, then Broken unless it was over."""
        if self._closed:
            return []
        steps: list[Step] = []
        frame = self._splitter.end()
        if frame is not None and frame.data is not None:
            step = self._read_leftover(frame)
            if step is not None:
                steps.append(step)
        if not self._closed:
            steps.append(self._break(self._cut()))
        return steps

    def fail(self, kind: ErrorKind, message: str) -> bytes:
        """What ends a stream that went on as it came until now and has failed.

        The response as it had begun, with its finished items; `event: error` when none had.
        """
        if self._begun is None:
            return errors.frame(kind, message)
        error = {"code": errors.failed_code(kind), "message": message}
        response = loose_object(self._begun) | {
            "status": "failed",
            "error": error,
            "output": [msgspec.Raw(item) for item in self._finished],
        }
        told: dict[str, Any] = {
            "type": "response.failed",
            "sequence_number": self._sequence + 1,
            "response": response,
        }
        return b"event: response.failed\ndata: " + msgspec.json.encode(told) + b"\n\n"

    def length_notice(self) -> bytes:
        """What ends the forwarded stream here as if it had reached its length (F18).

        The response holds the items that were finished; an open one was told by its deltas.
        """
        response = loose_object(self._begun or b"{}") | {
            "status": "incomplete",
            "incomplete_details": {"reason": "max_output_tokens"},
            "output": [msgspec.Raw(item) for item in self._finished],
        }
        told: dict[str, Any] = {
            "type": "response.incomplete",
            "sequence_number": self._sequence + 1,
            "response": response,
        }
        return b"event: response.incomplete\ndata: " + msgspec.json.encode(told) + b"\n\n"

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
            event = read_event(data)
        except ReadFault:
            return self._read_word(raw, data.strip())
        if not event.type:
            event.type = frame.event
        if event.sequence_number is not None:
            self._sequence = event.sequence_number
        return self._read_event(frame, event, data)

    def _read_word(self, raw: bytes, word: bytes) -> Step:
        """Data that is no JSON object: nothing, another dialect's end marker, or a fault."""
        if not word:
            return Step(raw, [])
        return self._break(self._cut() if word == b"[DONE]" else "F15")

    def _read_event(self, frame: Frame, event: StreamEvent, data: bytes) -> Step:
        kind = event.type
        failed = event.error is not ABSENT and given(event.error) is not None
        if failed or kind == "error":
            return self._fail(frame, data)
        if event.response is ABSENT:
            if kind == "response.output_item.done":
                self._finished.append(bytes(event.item) or b"null")
            return Step(frame.raw, self._reader.read(event, data))
        try:
            response = read_response(event.response)
        except ReadFault:
            return self._break("F15")
        if kind == "response.failed" or response.status == "failed":
            return self._fail(frame, given(response.error) or b"{}")
        if kind in _ENDINGS:
            return self._finish(frame.raw, kind, response, event.response)
        if kind in _BEGINNINGS:
            self._begun = bytes(event.response)
            return Step(frame.raw, self._reader.begin(response))
        return Step(frame.raw, [])

    def _finish(self, raw: bytes, kind: str, response: Response, whole: msgspec.Raw) -> Step:
        response.status = kind.removeprefix("response.")
        events = self._reader.finish(response)
        self.usage = given(response.usage)
        self.response = bytes(whole)
        self._closed = self.complete = True
        return Step(raw, [*events, End(marked=True)])

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

    def _break(self, fault: BrokenFault) -> Step:
        self._closed = True
        return Step(b"", [Broken(fault)])

    def _fail(self, frame: Frame, error: bytes) -> Step:
        self._closed = True
        fault = errors.read_object(error)
        told: list[Event] = [UpstreamError(fault.kind, fault.message, fault.code)]
        return Step(_masked(frame), told)


def _masked(frame: Frame) -> bytes:
    """The frame as it came, unless a text in it must be masked: then written anew.

    Nothing (b"") when it cannot be looked through; the relay then tells the error in its words.
    """
    try:
        told = msgspec.json.decode(frame.data or b"")
        masked = mask_members(told)
    except (msgspec.DecodeError, RecursionError):
        return b""
    if masked == told:
        return frame.raw
    # What stands in it of an event's name comes from its data: the name may hold anything (F31).
    name = "error" if masked.get("type") == "error" else "response.failed"
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(masked) + b"\n\n"
