"""What the messages of Google's live sessions say, for the content log."""

from typing import Any, Final

import msgspec

from dialects.json.raw_json import as_text, dicts, members_of, object_of
from dialects.realtime.gemini_live import camel_name
from relay.content_log.talk import Sound, Talk, message

_ROLES: Final = {"model": "assistant", "system": "system"}


def record_setup(talk: Talk, setup: dict[str, Any]) -> None:
    """Record the instructions of a session."""
    instruction = setup.get("systemInstruction")
    parts = dicts(object_of(instruction).get("parts"))
    talk.instructions = as_text(instruction) or "\n".join(
        as_text(part.get("text")) for part in parts
    )
    talk.transcribes = False


def record_sent(talk: Talk, raw: bytes) -> None:
    """Record a message that was sent to the provider."""
    body = _camel(members_of(raw))
    for turn in dicts(_camel(object_of(body.get("clientContent"))).get("turns")):
        role = _ROLES.get(as_text(turn.get("role")), "user")
        for part in dicts(turn.get("parts")):
            _ask(talk, role, _camel(part))
    sent = _camel(object_of(body.get("realtimeInput")))
    if text := as_text(sent.get("text")):
        talk.ask(message("user", text))
    for blob in (object_of(sent.get("audio")), *dicts(sent.get("mediaChunks"))):
        talk.hear(as_text(blob.get("data")))
    answered = _camel(object_of(body.get("toolResponse")))
    for one in dicts(answered.get("functionResponses")):
        output = msgspec.json.encode(one.get("response")).decode()
        talk.ask({"type": "function_call_output", "call_id": as_text(one.get("id")),
                  "output": output})  # fmt: skip


def record_heard(talk: Talk, raw: bytes) -> None:
    """Record what the provider has written of the client's sound."""
    content = object_of(members_of(raw).get("serverContent"))
    talk.write_down(as_text(object_of(content.get("inputTranscription")).get("text")))


def record_answered(talk: Talk, key: str, raw: bytes) -> None:
    """Record what a message adds to an answer."""
    body = members_of(raw)
    content = object_of(body.get("serverContent"))
    for part in dicts(object_of(content.get("modelTurn")).get("parts")):
        if not part.get("thought"):
            talk.say(key, "", as_text(part.get("text")))
        talk.sound(key, as_text(object_of(part.get("inlineData")).get("data")))
    talk.say(key, "", as_text(object_of(content.get("outputTranscription")).get("text")))
    for call in dicts(object_of(body.get("toolCall")).get("functionCalls")):
        arguments = msgspec.json.encode(call.get("args")).decode()
        talk.complete(key, as_text(call.get("id")), {
            "type": "function_call", "call_id": as_text(call.get("id")),
            "name": as_text(call.get("name")), "arguments": arguments,
        })  # fmt: skip


def _ask(talk: Talk, role: str, part: dict[str, Any]) -> None:
    if text := as_text(part.get("text")):
        talk.ask(message(role, text))
    elif data := as_text(object_of(part.get("inlineData")).get("data")):
        sound = Sound()
        sound.add(data)
        talk.ask({"type": "message", "role": role, "content": [sound.part()]})


def _camel(members: dict[str, Any]) -> dict[str, Any]:
    return {camel_name(name): value for name, value in members.items()}
