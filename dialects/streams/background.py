"""Answers that run in the background: what the dialects that have them share. Each has a module
`background` of this form.

Such an answer has its id before its provider has answered. Its stream begins with events of ours,
and goes on with the provider's, under our id and with our numbers, by which it is resumed.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from dialects.errors.kinds import ErrorKind
from dialects.json.body import Body
from dialects.json.lone_surrogates import make_readable
from dialects.json.raw_json import ReadFault, as_text, top_members, value_of
from dialects.streams.sse import Frame
from dialects.usage.usage import Counts

_encode = msgspec.json.encode


class BackgroundEvents(Protocol):
    """The events of one answer. `response` is the answer as the last of them left it, and `ended`
    is set after the last one."""

    response: bytes
    ended: bool

    def begin(self) -> bytes:
        """Return the first events, before the provider answers."""

    def feed(self, raw: bytes) -> bytes:
        """Return the provider's events as those of this answer, as far as they are complete."""

    def complete(self, response: bytes) -> bytes:
        """Return the last event, for an answer that arrived whole."""

    def fail(self, kind: ErrorKind, message: str, guard_code: str | None = None) -> bytes:
        """Return the last event of an answer that fails."""


class BackgroundForm(Protocol):
    """The answers of one dialect that run in the background, as JSON."""

    def queued_response(self, body: Body, id: str, created_at: int) -> bytes:
        """Return the answer before it runs. `created_at` is in Unix seconds."""

    def open_events(self, body: Body, id: str, queued: bytes) -> BackgroundEvents:
        """Return the events of the answer to a request."""

    def name_response(self, response: bytes, id: str, previous_id: bytes | None = None) -> bytes:
        """Return a provider's answer under our id. `previous_id` is the JSON of the id that it
        continues, as its client knows it. Raises ReadFault."""

    def cancel(self, response: bytes) -> bytes:
        """Return the answer after it was cancelled."""

    def fail(self, response: bytes, kind: ErrorKind, message: str) -> bytes:
        """Return the answer after it has failed."""

    def with_usage(self, response: bytes, counts: Counts) -> bytes:
        """Return the answer with these counts as its usage."""

    def number_of(self, frame: Frame) -> int | None:
        """Return the number of a stored event, None if it has none."""

    def is_end(self, frame: Frame) -> bool:
        """Return whether the answer has ended with this event."""

    def failed_event(self, response: bytes, number: int) -> bytes:
        """Return the last event of an answer that has failed."""


def asks_for_background(body: Body) -> bool:
    """Return whether a request is to run in the background."""
    return body.value("background") == b"true"


def request_body(body: Body) -> bytes:
    """Return the body of the request that runs: its answer is always streamed."""
    return body.splice({"background": None, "stream": b"true"})


def id_of(response: bytes) -> str:
    """Return the id of an answer, "" for none."""
    try:
        return as_text(value_of(top_members(response).get("id")))
    except ReadFault:
        return ""


def has_failed(response: bytes) -> bool:
    """Return whether an answer has failed."""
    return as_text(value_of(top_members(response).get("status"))) == "failed"


def lacks_usage(response: bytes) -> bool:
    """Return whether an answer has failed without usage of its provider."""
    members = top_members(response)
    return has_failed(response) and value_of(members.get("usage")) is None


def with_members(response: bytes, members: Mapping[str, Any]) -> bytes:
    """Return an answer with other values of these members. Raises ReadFault."""
    return _encode({**top_members(response), **members})


def raw(value: object) -> msgspec.Raw:
    """Return a value as JSON."""
    return msgspec.Raw(_encode(value))


def member_of(frame: Frame, name: str) -> Any:
    """Return a member of an event, None if it has none."""
    try:
        return value_of(top_members(frame.data or b"").get(name))
    except ReadFault:
        return None


def members_of_event(frame: Frame) -> dict[str, Any] | None:
    """Return the members of a provider's event; None for a comment, and for data without an
    event."""
    try:
        return None if frame.data is None else dict(top_members(make_readable(frame.data)))
    except ReadFault:
        return None


def frame_of(kind: str, event: Mapping[str, Any]) -> bytes:
    """Return an event as it is sent."""
    return b"event: " + kind.encode() + b"\ndata: " + _encode(event) + b"\n\n"
