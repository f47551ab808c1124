"""What was asked and answered, as the attributes of a span by the gen_ai conventions: from an entry
of the content log after its redaction.

    gen_ai.system_instructions   what stands apart from the chat in the client's dialect
    gen_ai.input.messages        the chat, with the newest messages if it is too long
    gen_ai.output.messages       a message for each choice

Each is a JSON text, in the form of the conventions' schemas, of at most BYTES_MAX bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from content.log.conversation import answer_of, request_of
from content.log.kept import Kept
from content.log.media import read_reference
from dialects.chat.chat import (
    Audio,
    Base64,
    ChatRequest,
    File,
    FileId,
    Image,
    Message,
    Part,
    PlainText,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Url,
    Video,
)

BYTES_MAX: Final = 32 * 1024
"""The longest attribute. What waits for a collector in a process is that many times as much."""
_TEXT_MAX: Final = 8_000
SYSTEM: Final = "gen_ai.system_instructions"
INPUT: Final = "gen_ai.input.messages"
OUTPUT: Final = "gen_ai.output.messages"
SHORTENED: Final = "weir.content.shortened"
# The dialect whose system messages are part of the chat.
_IN_CHAT: Final = "openai"
_FINISHED: Final = {
    None: "error", "stop": "stop", "stop_sequence": "stop", "length": "length",
    "tool_calls": "tool_call", "content_filter": "content_filter", "pause": "pause",
}  # fmt: skip
_MODALITIES: Final[Mapping[type, str]] = {
    Image: "image", Audio: "audio", Video: "video", File: "document",
}  # fmt: skip
_Object = dict[str, Any]


def span_content(kept: Kept, dialect: str, model: str) -> dict[str, str | bool]:
    """Return the attributes; none for a request that is no chat."""
    request = request_of(kept, dialect, model)
    if request is None:
        return {}
    system, messages = _system_apart(request, dialect)
    answer = answer_of(kept, dialect, request) if kept.answer else None
    shortener = _Shortener()
    attributes: dict[str, str | bool] = {}
    if system:
        attributes[SYSTEM] = shortener.write(
            [part for message in system for part in shortener.parts(message.parts)]
        )
    attributes[INPUT] = shortener.write(
        [
            {"role": message.role, "parts": list(shortener.parts(message.parts))}
            for message in messages
        ]
    )
    if answer is not None:
        attributes[OUTPUT] = shortener.write(
            [
                {
                    "role": "assistant",
                    "parts": list(shortener.parts(choice.parts)),
                    "finish_reason": _FINISHED[choice.finish],
                }
                for choice in answer.choices
            ]
        )
    if shortener.shortened:
        attributes[SHORTENED] = True
    return attributes


def _system_apart(
    request: ChatRequest, dialect: str
) -> tuple[Sequence[Message], Sequence[Message]]:
    """Return the leading system messages of a dialect that has them apart, and the chat."""
    apart = 0
    if dialect != _IN_CHAT:
        while apart < len(request.messages) and request.messages[apart].role == "system":
            apart += 1
    return request.messages[:apart], request.messages[apart:]


class _Shortener:
    """Writes texts and lists within their bounds, and notes whether anything is missing."""

    def __init__(self) -> None:
        self.shortened = False

    def write(self, items: Sequence[_Object]) -> str:
        """Return a list as JSON, without its oldest items if it is too long. The parts of a last
        message are shortened in the same way."""
        written = self._newest(items, BYTES_MAX - 2)
        if not written and items and "parts" in items[-1]:
            last = items[-1]
            around = msgspec.json.encode(last | {"parts": []})
            parts = b",".join(self._newest(last["parts"], BYTES_MAX - 2 - len(around)))
            written = [around.replace(b'"parts":[]', b'"parts":[' + parts + b"]", 1)]
        return (b"[" + b",".join(written) + b"]").decode()

    def _newest(self, items: Sequence[_Object], left: int) -> list[bytes]:
        kept: list[bytes] = []
        for item in reversed(items):
            raw = msgspec.json.encode(item)
            left -= len(raw) + 1
            if left < 0:
                self.shortened = True
                break
            kept.append(raw)
        return kept[::-1]

    def text(self, text: str) -> str:
        """Return a text without what UTF-8 cannot say, and without its end if it is too long."""
        if len(text) > _TEXT_MAX:
            self.shortened = True
            text = f"{text[:_TEXT_MAX]}… ({len(text) - _TEXT_MAX} more characters)"
        return text.encode(errors="replace").decode()

    def parts(self, parts: Sequence[Part]) -> Iterator[_Object]:
        for part in parts:
            written = self._part(part)
            if written is not None:
                yield written

    def _part(self, part: Part) -> _Object | None:
        match part:
            case Text():
                return {"type": "text", "content": self.text(part.text)}
            case Reasoning():
                return {"type": "reasoning", "content": self.text(part.text)} if part.text else None
            case Refusal():
                return {"type": "refusal", "content": self.text(part.text)}
            case ToolCall():
                name, arguments = self.text(part.name), self._arguments(part.arguments)
                id = self.text(part.id)
                return {"type": "tool_call", "id": id, "name": name, "arguments": arguments}
            case ToolResult():
                response = self._response(part)
                id = self.text(part.call_id)
                return {"type": "tool_call_response", "id": id, "response": response}
            case Image() | Audio() | File() | Video():
                return self._media(part)
        # What only one provider understands.
        return {"type": "other"}

    def _arguments(self, text: str) -> Any:
        """Return the arguments of a call as an object if they are one, else as text."""
        if len(text) <= _TEXT_MAX:
            try:
                value = msgspec.json.decode(text or "{}")
                msgspec.json.encode(value)
                return value
            except (ValueError, RecursionError):
                pass
        return self.text(text)

    def _response(self, result: ToolResult) -> Any:
        if len(result.parts) == 1 and isinstance(result.parts[0], Text):
            return self.text(result.parts[0].text)
        return list(self.parts(result.parts))

    def _media(self, part: Image | Audio | File | Video) -> _Object:
        modality, source = _MODALITIES[type(part)], part.source
        written: _Object
        match source:
            case Url():
                written = {"type": "uri", "modality": modality, "uri": self.text(source.url)}
                kind = source.media_type
            case FileId():
                return {"type": "file", "modality": modality, "file_id": self.text(source.id)}
            case PlainText():
                return {"type": "text", "content": self.text(source.text)}
            case Base64():
                # The content log keeps no data: only its size and hash.
                size, digest = read_reference(source.data)
                written = {"type": "reference", "modality": modality, "bytes": size}
                written["sha256"], kind = digest, source.media_type
        return written | ({"mime_type": self.text(kind)} if kind else {})
