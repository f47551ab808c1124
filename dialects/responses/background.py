"""A response that runs in the background: it has its id before its provider has answered.

    QUEUED --response.created--> IN_PROGRESS --completed | incomplete | failed--> ENDED
      QUEUED, IN_PROGRESS --cancel--> ENDED

Its stream begins with two events of ours, and goes on with the provider's, renumbered, under our
id.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dialects.chat.chat import JsonObject
from dialects.errors.kinds import ErrorKind
from dialects.json.body import Body
from dialects.json.lone_surrogates import make_readable
from dialects.json.raw_json import as_text, top_members, value_of
from dialects.responses import usage
from dialects.responses.errors import failed_error
from dialects.responses.state import PREVIOUS
from dialects.streams.background import frame_of, member_of, members_of_event, raw, with_members
from dialects.streams.sse import Frame, FrameSplitter
from dialects.usage.usage import Counts

_encode = msgspec.json.encode
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
# They say again what our own first events have said.
_BEGINNINGS: Final = frozenset({"response.created", "response.queued"})
# Members of a request that its response repeats, and what they are if the request has none.
_ECHOED: Final[Mapping[str, Any]] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    PREVIOUS: None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


def queued_response(body: Body, id: str, created_at: int) -> bytes:
    """Return the response before it runs, with the settings of its request. `created_at` is in Unix
    seconds."""
    response: JsonObject = {
        "id": id,
        "object": "response",
        "created_at": created_at,
        "completed_at": None,
        "status": "queued",
        "background": True,
        "error": None,
        "incomplete_details": None,
        "model": value_of(body.value("model")),
        "output": [],
        "store": True,
        "usage": None,
    }
    for name, default in _ECHOED.items():
        value = body.value(name)
        response[name] = default if value is None else msgspec.Raw(value)
    return _encode(response)


def open_events(body: Body, id: str, queued: bytes) -> "BackgroundEvents":
    """Return the events of the response to a request."""
    return BackgroundEvents(body, id, queued)


def name_response(response: bytes, id: str, previous_id: bytes | None = None) -> bytes:
    """Return a provider's response under our id. `previous_id` is the JSON of the id that it
    continues, as its client knows it. Raises ReadFault."""
    edits = {"id": raw(id), "background": raw(True)}
    if previous_id is not None:
        edits[PREVIOUS] = msgspec.Raw(previous_id)
    return with_members(make_readable(response), edits)


def cancel(response: bytes) -> bytes:
    """Return the response after it was cancelled."""
    return _end(response, "cancelled")


def fail(response: bytes, kind: ErrorKind, message: str) -> bytes:
    """Return the response after it has failed."""
    return _end(response, "failed", failed_error(kind, message))


def with_usage(response: bytes, counts: Counts) -> bytes:
    """Return a response with these counts as its usage."""
    return with_members(response, {"usage": usage.encode(counts)})


def number_of(frame: Frame) -> int | None:
    """Return the sequence number of a stored event."""
    number = member_of(frame, "sequence_number")
    return number if isinstance(number, int) else None


def is_end(frame: Frame) -> bool:
    """Return whether no event of the response follows."""
    return frame.event in _ENDS


def failed_event(response: bytes, number: int) -> bytes:
    """Return the last event of a response that has failed."""
    return _event("response.failed", {"response": msgspec.Raw(response)}, number)


class BackgroundEvents:
    """The events of one response. `response` is the response as the last of them left it, and
    `ended` is set after the last one."""

    __slots__ = ("_frames", "_id", "_number", "_previous_id", "ended", "response")

    def __init__(self, body: Body, id: str, queued: bytes) -> None:
        self._id = id
        self._previous_id = body.value(PREVIOUS)
        self._frames = FrameSplitter()
        self._number = 0
        self.response = queued
        self.ended = False

    def begin(self) -> bytes:
        """Return the first events: the response is created and queued."""
        return b"".join(
            self._write(kind, {"response": msgspec.Raw(self.response)})
            for kind in ("response.created", "response.queued")
        )

    def feed(self, raw: bytes) -> bytes:
        """Return the events that complete with these bytes of the provider's stream."""
        return b"".join(map(self._rewrite, self._frames.feed(raw)))

    def complete(self, response: bytes) -> bytes:
        """Return the last event, for an answer that arrived whole."""
        self.response, self.ended = name_response(response, self._id, self._previous_id), True
        status = as_text(value_of(top_members(self.response).get("status"))) or "completed"
        return self._write(f"response.{status}", {"response": msgspec.Raw(self.response)})

    def fail(self, kind: ErrorKind, message: str, guard_code: str | None = None) -> bytes:
        """Return the last event of a response that fails."""
        return self._fail(failed_error(kind, message, guard_code))

    def _fail(self, error: JsonObject) -> bytes:
        self.response = _end(self.response, "failed", error)
        self.ended = True
        return self._write("response.failed", {"response": msgspec.Raw(self.response)})

    def _rewrite(self, frame: Frame) -> bytes:
        """Return an event with our id and number; nothing for a comment, for data without an event,
        and for an event that we have sent."""
        members = None if self.ended else members_of_event(frame)
        if members is None:
            return b""
        kind = as_text(value_of(members.get("type"))) or frame.event
        if kind == "error":
            # A response has begun, so that the error is its own.
            message = as_text(value_of(members.get("message")))
            return self._fail({"code": "server_error", "message": message})
        if "response" in members:
            named = name_response(bytes(members["response"]), self._id, self._previous_id)
            members["response"], self.response = msgspec.Raw(named), named
            self.ended = kind in _ENDS
        return b"" if kind in _BEGINNINGS else self._write(kind, members)

    def _write(self, kind: str, members: Mapping[str, Any]) -> bytes:
        event = _event(kind, members, self._number)
        self._number += 1
        return event


def _event(kind: str, members: Mapping[str, Any], number: int) -> bytes:
    return frame_of(kind, {**members, "type": kind, "sequence_number": number})


def _end(response: bytes, status: str, error: JsonObject | None = None) -> bytes:
    return with_members(response, {"status": status, "error": error})
