"""An interaction that runs in the background: it has its id before its provider has answered.

    IN_PROGRESS --interaction.completed | error | cancel--> ENDED

Its stream begins with two events of ours, and goes on with the provider's, under our id and with an
`event_id` each, by which it is resumed. As in every stream, the last event has no steps; the
interaction has them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from dialects.chat.chat import JsonObject
from dialects.errors.kinds import ErrorKind
from dialects.interactions import usage
from dialects.interactions.answer.finish_reasons import read_reason
from dialects.interactions.answer.steps_builder import StepsBuilder, with_steps
from dialects.interactions.answer.wire import read_interaction
from dialects.interactions.errors import DONE, write_error
from dialects.interactions.request.read import PREVIOUS
from dialects.json.body import Body
from dialects.json.lone_surrogates import make_readable
from dialects.json.raw_json import as_text, members_of, object_of, top_members, value_of
from dialects.streams.background import frame_of, member_of, members_of_event, raw, with_members
from dialects.streams.sse import Frame, FrameSplitter
from dialects.usage.usage import Counts

_encode = msgspec.json.encode
_COMPLETED: Final = "interaction.completed"
_ENDS: Final = frozenset({_COMPLETED, "error", "done"})
# Their interaction, as the beginning of a stream has it.
_BEGINNING: Final = ("id", "status", "object", "model")


def queued_response(body: Body, id: str, created_at: int) -> bytes:
    """Return the interaction before it runs. `created_at` is in Unix seconds."""
    at = datetime.fromtimestamp(created_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    interaction: JsonObject = {
        "id": id,
        "object": "interaction",
        "status": "in_progress",
        "model": value_of(body.value("model")),
        "created": at,
        "updated": at,
    }
    previous = body.value(PREVIOUS)
    if previous is not None:
        interaction[PREVIOUS] = msgspec.Raw(previous)
    return _encode(interaction)


def open_events(body: Body, id: str, queued: bytes) -> "BackgroundEvents":
    """Return the events of the answer to a request."""
    return BackgroundEvents(body, id, queued)


def name_response(response: bytes, id: str, previous_id: bytes | None = None) -> bytes:
    """Return a provider's interaction under our id. `previous_id` is the JSON of the id that it
    continues, as its client knows it. Raises ReadFault."""
    edits = {"id": raw(id)}
    if previous_id is not None:
        edits[PREVIOUS] = msgspec.Raw(previous_id)
    return with_members(make_readable(response), edits)


def cancel(response: bytes) -> bytes:
    """Return the interaction after it was cancelled."""
    return with_members(response, {"status": "cancelled"})


def fail(response: bytes, kind: ErrorKind, message: str) -> bytes:
    """Return the interaction after it has failed."""
    return _fail(response, write_error(kind, message))


def with_usage(response: bytes, counts: Counts) -> bytes:
    """Return an interaction with these counts as its usage."""
    return with_members(response, {"usage": usage.encode(counts)})


def number_of(frame: Frame) -> int | None:
    """Return the number of a stored event."""
    number = as_text(member_of(frame, "event_id"))
    return int(number) if number.isdecimal() else None


def is_end(frame: Frame) -> bool:
    """Return whether the interaction has ended with this event."""
    return frame.event in _ENDS


def failed_event(response: bytes, number: int) -> bytes:
    """Return the last event of an interaction that has failed."""
    errors = value_of(top_members(response).get("errors"))
    error = errors[0] if isinstance(errors, list) and errors else {}
    return _event("error", {"error": error}, number)


class BackgroundEvents:
    """The events of one interaction. `response` is the interaction as the last of them left it, and
    `ended` is set after the last one."""

    __slots__ = ("_frames", "_id", "_number", "_previous_id", "_steps", "ended", "response")

    def __init__(self, body: Body, id: str, queued: bytes) -> None:
        self._id = id
        self._previous_id = body.value(PREVIOUS)
        self._frames = FrameSplitter()
        self._steps = StepsBuilder()
        self._number = 0
        self.response = queued
        self.ended = False

    def begin(self) -> bytes:
        """Return the first events, before the provider answers."""
        members = top_members(self.response)
        interaction = {name: members[name] for name in _BEGINNING}
        update = {"interaction_id": self._id, "status": members["status"]}
        created = self._write("interaction.created", {"interaction": interaction})
        return created + self._write("interaction.status_update", update)

    def feed(self, raw: bytes) -> bytes:
        """Return the provider's events as those of this interaction, as far as they are
        complete."""
        return b"".join(map(self._rewrite, self._frames.feed(raw)))

    def complete(self, response: bytes) -> bytes:
        """Return the last event, for an answer that arrived whole."""
        self.response, self.ended = name_response(response, self._id, self._previous_id), True
        return self._write(_COMPLETED, {"interaction": msgspec.Raw(self.response)}) + DONE

    def fail(self, kind: ErrorKind, message: str, guard_code: str | None = None) -> bytes:
        """Return the last event of an interaction that fails."""
        return self._fail(write_error(kind, message, guard_code))

    def _fail(self, error: JsonObject) -> bytes:
        self.response, self.ended = _fail(self.response, error), True
        return self._write("error", {"error": error})

    def _rewrite(self, frame: Frame) -> bytes:
        """Return an event with our id and number; nothing for a comment, for data without an event,
        and for an event that we have sent."""
        members = None if self.ended else members_of_event(frame)
        if members is None:
            return b""
        kind = as_text(value_of(members.get("event_type"))) or frame.event
        match kind:
            case "error":
                return self._fail(object_of(value_of(members.get("error"))))
            case "interaction.created":
                return b""
            case "interaction.status_update":
                if value_of(members.get("status")) == "in_progress":
                    return b""
                members["interaction_id"] = self._id
            case "step.start" | "step.delta" | "step.stop":
                self._add(kind, members)
            case "interaction.completed":
                return self._complete(members)
        return self._write(kind, members)

    def _add(self, kind: str, members: Mapping[str, Any]) -> None:
        index = value_of(members.get("index"))
        if not isinstance(index, int):
            return
        match kind:
            case "step.start":
                self._steps.start(index, object_of(value_of(members.get("step"))))
            case "step.delta":
                self._steps.add(index, object_of(value_of(members.get("delta"))))
            case _:
                self._steps.stop(index)

    def _complete(self, members: dict[str, Any]) -> bytes:
        named = name_response(bytes(members.get("interaction", b"{}")), self._id, self._previous_id)
        self.ended = True
        if read_reason(read_interaction(named), called=False) == "length":
            self._steps.drop_cut_call()
        whole = members_of(msgspec.Raw(named))
        self.response = named if whole.get("steps") else with_steps(named, self._steps.steps())
        failed = whole.get("status") == "failed"
        end = self._write(_COMPLETED, members | {"interaction": msgspec.Raw(named)})
        return end if failed else end + DONE

    def _write(self, kind: str, members: Mapping[str, Any]) -> bytes:
        event = _event(kind, members, self._number)
        self._number += 1
        return event


def _event(kind: str, members: Mapping[str, Any], number: int) -> bytes:
    return frame_of(kind, {**members, "event_type": kind, "event_id": str(number)})


def _fail(response: bytes, error: JsonObject) -> bytes:
    return with_members(response, {"status": "failed", "errors": [error]})
