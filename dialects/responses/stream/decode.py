"""Decode a streamed answer of the responses dialect, event by event.

The decoder returns the meaning of each event together with its bytes, because a stream to a client
of the same dialect is forwarded unchanged. Only keys and account ids inside an error are already
removed from those bytes.

    START --event--> OPEN --response.completed | response.incomplete--> ENDED
      any --response.failed | response.cancelled | error--> FAILED
      any --unreadable event--> BROKEN

After ENDED, FAILED and BROKEN no more is read. This dialect has no [DONE], and one that is sent all
the same is not forwarded.
"""

from typing import Any, Final

import msgspec

from dialects.chat.events import End, Step
from dialects.errors.kinds import ErrorKind
from dialects.json.raw_json import ABSENT, ReadFault, members_of, value_bytes
from dialects.responses import errors
from dialects.responses.answer.events import AnswerReader
from dialects.responses.answer.wire import FAILED, Response, StreamEvent, read_event, read_response
from dialects.streams.sse import FRAME_BYTES_MAX, Frame
from dialects.streams.stream import FrameDecoder, is_utf8, mask_frame, write_data
from dialects.upstream_errors.api_errors import name_request

_BEGINNINGS: Final = frozenset({"response.created", "response.in_progress", "response.queued"})
_FAILURES: Final = frozenset({"response.failed", "response.cancelled"})
_ENDINGS: Final = frozenset({"response.completed", "response.incomplete"})


class Decoder(FrameDecoder):
    """Reads one streamed answer. `translate`: the events are complete, for an encoder, and the ids
    of calls are derived from `request_id`. After each call `searches` counts the web searches;
    `response` is the final response as received, None until then.
    """

    _reader: AnswerReader

    def __init__(
        self,
        *,
        frame_bytes_max: int = FRAME_BYTES_MAX,
        translate: bool = False,
        request_id: str = "",
    ) -> None:
        super().__init__(frame_bytes_max)
        self._reader = AnswerReader(translate=translate, request_id=request_id)
        self._translate = translate
        self._started: bytes | None = None
        self._sequence = -1
        self._finished: list[bytes] = []
        self.response: bytes | None = None

    @property
    def searches(self) -> int:
        """The number of web searches in the answer."""
        return self._reader.searches

    def fail(self, kind: ErrorKind, message: str, request_id: str) -> bytes:
        """Return the frames that end a failed forwarded stream: the response as it began, with its
        finished items; `event: error` if none has begun.
        """
        if self._started is None:
            return errors.error_frame(kind, message, request_id=request_id)
        error = errors.failed_error(kind, message)
        return self._last_event("failed", {"error": error}, name_request(request_id))

    def length_notice(self) -> bytes:
        """Return the frames that end the stream as if it had reached its length (F18). The response
        contains the finished items; an open one was sent as deltas.
        """
        details = {"incomplete_details": {"reason": "max_output_tokens"}}
        return self._last_event("incomplete", details, {})

    def _last_event(self, status: str, why: dict[str, Any], beside: dict[str, str]) -> bytes:
        kind = f"response.{status}"
        response = members_of(self._started) | {"status": status} | why
        response["output"] = [msgspec.Raw(item) for item in self._finished]
        event = {"type": kind, "sequence_number": self._sequence + 1, "response": response} | beside
        return b"event: " + kind.encode() + b"\ndata: " + msgspec.json.encode(event) + b"\n\n"

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
        if not event.type:
            event.type = frame.event
        if event.sequence_number is not None:
            self._sequence = event.sequence_number
        return self._read_event(frame, event, data)

    def _read_word(self, frame: Frame, word: bytes) -> Step:
        """Read data that is not a JSON object: nothing, another dialect's end marker, an invalid
        number (F27), or a fault.
        """
        if not word:
            return Step(frame.raw, [])
        if word == b"[DONE]":
            return self._break(self._cut())
        return self._repair(frame, marks=self._translate)

    def _read_event(self, frame: Frame, event: StreamEvent, data: bytes) -> Step:
        kind = event.type
        failed = event.error is not ABSENT and value_bytes(event.error) is not None
        if failed or kind == "error":
            return self._refuse(frame, data)
        if event.response is ABSENT:
            if kind == "response.output_item.done":
                self._finished.append(bytes(event.item) or b"null")
            return Step(frame.raw, self._reader.read(event, data))
        try:
            response = read_response(event.response)
        except ReadFault:
            return self._break("F15")
        if kind in _FAILURES or response.status in FAILED:
            return self._refuse(frame, response.failure or b"{}", response.whole_usage)
        if kind in _ENDINGS:
            return self._finish(frame.raw, kind, response, event.response)
        if kind in _BEGINNINGS:
            self._started = bytes(event.response)
            return Step(frame.raw, self._reader.begin(response))
        return Step(frame.raw, [])

    def _refuse(self, frame: Frame, error: bytes, usage: bytes | None = None) -> Step:
        step = self._fail(mask_frame(frame, _write_failure), errors.read_object(error))
        return self._with_usage(step, usage)

    def _finish(self, raw: bytes, kind: str, response: Response, whole: msgspec.Raw) -> Step:
        response.status = kind.removeprefix("response.")
        events = self._reader.finish(response)
        self.usage = response.whole_usage
        self.response = bytes(whole)
        self._closed = self.complete = True
        return Step(raw, [*events, End(marked=True)])


def _write_failure(value: Any) -> bytes:
    # The event's name is taken from its data, because the name itself may contain anything (F31).
    name = b"error" if value.get("type") == "error" else b"response.failed"
    return b"event: " + name + b"\n" + write_data(value)
