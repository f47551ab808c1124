"""What the events of OpenAI's realtime sessions say, for the content log."""

from typing import Final

from dialects.json.raw_json import as_text, dicts, members_of, object_of, value_of
from dialects.realtime.realtime import ClientEvent, ServerEvent
from relay.content_log.talk import Item, Sound, Talk, message

_HEARD: Final = "conversation.item.input_audio_transcription.completed"
_WORDS: Final = ("text.delta", "transcript.delta")
_SOUND: Final = "audio.delta"


def record_sent(talk: Talk, event: ClientEvent, raw: bytes) -> None:
    """Record an event that was sent to the provider."""
    kind = event.type
    if kind == "input_audio_buffer.append":
        talk.hear(bytes(event.audio)[1:-1])
    elif kind == "input_audio_buffer.clear":
        talk.forget_sound()
    elif kind == "conversation.item.create":
        talk.ask(_item(object_of(members_of(raw).get("item"))))
    elif kind == "session.update":
        session = members_of(raw).get("session")
        talk.instructions = as_text(object_of(session).get("instructions")) or talk.instructions
    elif kind == "response.create":
        response = object_of(members_of(raw).get("response"))
        for item in dicts(response.get("input")):
            talk.ask(_item(item))
        if instructions := as_text(response.get("instructions")):
            talk.ask(message("developer", instructions))


def record_received(talk: Talk, event: ServerEvent, raw: bytes) -> None:
    """Record an event of the provider."""
    kind, key = event.type, event.response_id or ""
    if kind.endswith(_WORDS):
        talk.say(key, event.item_id or "", as_text(value_of(event.delta)))
    elif kind.endswith(_SOUND):
        talk.sound(key, bytes(event.delta)[1:-1])
    elif kind == _HEARD:
        talk.write_down(as_text(members_of(raw).get("transcript")), event.item_id or "")
    elif kind == "input_audio_buffer.committed":
        talk.put_sound(event.item_id or "")
    elif kind == "response.output_item.done":
        item = object_of(members_of(raw).get("item"))
        talk.complete(key, as_text(item.get("id")), _item(item))
    elif kind == "response.done":
        response = members_of(event.response)
        if items := [_item(item) for item in dicts(response.get("output"))]:
            talk.replace(as_text(response.get("id")), items)


def _item(item: Item) -> Item:
    """Return an item as Responses has it, without its sound."""
    if item.get("type") != "message":
        return item
    role = as_text(item.get("role")) or "user"
    kind = "output_text" if role == "assistant" else "input_text"
    content: list[Item] = []
    for part in dicts(item.get("content")):
        if data := as_text(part.get("audio")):
            sound = Sound()
            sound.add(data)
            content.append(sound.part())
        if text := as_text(part.get("text")) or as_text(part.get("transcript")):
            content.append({"type": kind, "text": text})
        elif part.get("type") == "input_image":
            content.append(part)
    return {"type": "message", "role": role, "content": content}
