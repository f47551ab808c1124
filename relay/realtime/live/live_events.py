"""What the events of Live sessions say, for the content log."""

from typing import Any, Final

import msgspec

from dialects.json.raw_json import as_text, dicts, members_of, object_of
from dialects.realtime import live
from dialects.realtime.live import ClientEvent, ServerEvent
from relay.content_log.spoken_minutes import Side, SpokenMinutes
from relay.content_log.talk import Sound, Talk, message

_TRANSCRIPTS: Final[dict[str, Side]] = {
    "session.input_transcript.delta": "user",
    "session.output_transcript.delta": "assistant",
}
_APPENDS: Final = frozenset(
    {"session.instructions.append", "session.thinking.append", "session.commentary.append"}
)
_ITEMS: Final = frozenset({"response.item.create", "decision.item.create"})
_FIXTURE: Final = "session.output_audio.fixture.play"
_WORDS: Final = frozenset({"response.output_text.delta", "response.refusal.delta"})
# What a delegation is called as a call of a tool.
_DELEGATION: Final = "delegation"


def record_start(talk: SpokenMinutes, raw: bytes) -> None:
    """Record the settings with which a session was started, and what was said before it."""
    session = object_of(members_of(raw).get("session"))
    talk.begin(as_text(session.get("instructions")))
    for item in dicts(session.get("input")):
        text = "".join(as_text(part.get("text")) for part in dicts(item.get("content")))
        talk.tell(message(as_text(item.get("role")) or "user", text))
    _record_delegation(talk, session)


def record_sent(talk: SpokenMinutes, event: ClientEvent, raw: bytes) -> None:
    """Record an event that was sent to the provider."""
    kind = event.type
    if kind == live.APPEND:
        talk.hear(bytes(event.audio)[1:-1])
    elif kind in _APPENDS:
        _record_append(talk, members_of(raw))
    elif kind in _ITEMS:
        talk.delegated.ask(object_of(members_of(raw).get("item")))
    elif kind == "session.update":
        _record_delegation(talk, object_of(members_of(raw).get("session")))
    elif kind == _FIXTURE:
        sound = Sound()
        sound.add(bytes(event.audio)[1:-1])
        talk.tell({"type": "message", "role": "developer", "content": [sound.part()]})


def record_received(talk: SpokenMinutes, event: ServerEvent, raw: bytes) -> None:
    """Record an event of the provider, except those of delegated work."""
    kind = event.type
    if kind == "session.output_audio.delta":
        talk.sound(bytes(event.delta)[1:-1])
    elif (side := _TRANSCRIPTS.get(kind)) is not None:
        members = members_of(raw)
        start = members.get("start_ms")
        start_ms = start if isinstance(start, int) else 0
        talk.say(side, as_text(members.get("delta")), start_ms, event.position_ms)
    elif kind == "session.delegation.created":
        delegation = object_of(members_of(raw).get("delegation"))
        arguments = msgspec.json.encode({"target": as_text(delegation.get("target"))}).decode()
        call = {
            "call_id": as_text(delegation.get("id")),
            "name": _DELEGATION,
            "arguments": arguments,
        }
        talk.tell({"type": "function_call", **call}, by_model=True)


def record_delegated(talk: Talk, id: str, raw: msgspec.Raw) -> None:
    """Record an event of a delegated response."""
    event = members_of(raw)
    kind = event.get("type")
    if kind in _WORDS:
        talk.say(id, as_text(event.get("item_id")), as_text(event.get("delta")))
    elif kind == "response.output_item.done":
        item = object_of(event.get("item"))
        talk.complete(id, as_text(item.get("id")), item)


def record_decision(talk: Talk, id: str, raw: msgspec.Raw) -> None:
    """Record the answers of a decision."""
    answers = members_of(raw).get("answers")
    talk.complete(id, "", message("assistant", msgspec.json.encode(answers).decode()))


def _record_append(talk: SpokenMinutes, event: dict[str, Any]) -> None:
    """Record what the model is to know or to say: the result of a delegation, if it belongs to
    one."""
    content, delegation = as_text(event.get("content")), as_text(event.get("delegation_id"))
    if delegation:
        talk.tell({"type": "function_call_output", "call_id": delegation, "output": content})
    else:
        talk.tell(message("developer", content))


def _record_delegation(talk: SpokenMinutes, session: dict[str, Any]) -> None:
    """Record what a delegated response is told, or what a decision is asked."""
    delegation = object_of(session.get("delegation"))
    config = object_of(delegation.get(as_text(delegation.get("type"))))
    if instructions := as_text(config.get("instructions")):
        talk.delegated.instructions = instructions
    if questions := config.get("questions"):
        talk.delegated.instructions = msgspec.json.encode(questions).decode()
