"""Write neutral messages as those of the openai dialect: history and whole answers."""

from collections.abc import Iterable
from typing import Any

from msgspec import structs

from dialects.chat.chat import (
    Audio,
    Base64,
    ChatRequest,
    File,
    FileId,
    Flag,
    Image,
    Message,
    OwnPart,
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
from dialects.chat.events import Seal, Source
from dialects.chat.media import audio_format, data_url, file_name
from dialects.chat.turns import move_results_to_calls, split_system
from dialects.errors.errors import RequestFault


def write_messages(
    request: ChatRequest, flags: frozenset[Flag], sentence: str = ""
) -> list[dict[str, Any]]:
    """Return the conversation for an upstream. The system texts of another dialect are joined at
    the start; `sentence` is added to them. Raises RequestFault for parts that the dialect cannot
    express.
    """
    messages = request.messages
    if request.dialect != "openai" or sentence:
        texts, messages = split_system(messages)
        if sentence:
            texts = (*texts, Text(sentence))
        if texts:
            messages = (Message("system", texts), *messages)
    if request.dialect != "openai":
        messages = move_results_to_calls(messages)
    writer = _Writer(flags, same=request.dialect == "openai")
    for message in messages:
        writer.add(message)
    return writer.finish()


class _Writer:
    def __init__(self, flags: frozenset[Flag], *, same: bool) -> None:
        self._flags = flags
        self._marks = "cache_control" in flags
        self._same = same
        self._written: list[dict[str, Any]] = []
        self._pictures: list[Part] = []

    def add(self, message: Message) -> None:
        if message.role != "tool":
            self._show_pictures()
        match message.role:
            case "tool":
                written = self._result(message.parts)
            case "assistant":
                written = self._assistant(message)
            case "user":
                written = {"role": "user", "content": self._content(message.parts)}
            case _:
                written = {"role": self._system_role(), "content": self._system(message.parts)}
        named = message.name is not None and "no_message_names" not in self._flags
        if named and message.role != "tool":
            written["name"] = message.name
        self._written.append(written)

    def finish(self) -> list[dict[str, Any]]:
        self._show_pictures()
        return self._written

    def _system_role(self) -> str:
        return "developer" if "developer_role" in self._flags else "system"

    def _system(self, parts: tuple[Part, ...]) -> str | list[dict[str, Any]]:
        texts = [part for part in parts if isinstance(part, Text)]
        if self._same or (self._marks and any(text.cache for text in texts)):
            return self._content(texts)
        return "\n\n".join(text.text for text in texts)

    def _show_pictures(self) -> None:
        """Send content that a tool message cannot hold in a user message after the results."""
        if self._pictures:
            self._written.append({"role": "user", "content": self._content(self._pictures)})
            self._pictures = []

    def _result(self, parts: tuple[Part, ...]) -> dict[str, Any]:
        (result,) = (part for part in parts if isinstance(part, ToolResult))
        parts_as_text = [_to_text(part) for part in result.parts]
        texts = [part for part in parts_as_text if isinstance(part, Text)]
        self._pictures += [part for part in parts_as_text if not isinstance(part, Text)]
        content = self._content(texts)
        return {"role": "tool", "tool_call_id": result.call_id, "content": content}

    def _assistant(self, message: Message) -> dict[str, Any]:
        text = "".join(part.text for part in message.parts if isinstance(part, Text))
        refusal = "".join(part.text for part in message.parts if isinstance(part, Refusal))
        sound = [part for part in message.parts if isinstance(part, Audio)]
        calls = write_calls(message.parts, google="thought_seal_needed" in self._flags)
        written: dict[str, Any] = {"role": "assistant", "content": text}
        if not text and (calls or refusal or sound):
            written["content"] = None
        if calls and "reasoning_content_rule" in self._flags:
            # DeepSeek requires the member, even if its text is lost.
            written["reasoning_content"] = reasoning_text(message.parts)
        if refusal:
            written["refusal"] = refusal
        if sound and (id_ := _audio_id(sound[-1])):
            written["audio"] = {"id": id_}
        if calls:
            written["tool_calls"] = calls
        if self._same and message.citations:
            written["annotations"] = [write_citation(source) for source in message.citations]
        return written

    def _content(self, parts: Iterable[Part]) -> str | list[dict[str, Any]]:
        """Return a string where a string is enough, otherwise a list of parts."""
        parts = [_to_text(part) for part in parts if not isinstance(part, OwnPart)]
        match parts:
            case []:
                return ""
            case [Text(text=text, cache=cache)] if not (cache and self._marks):
                return text
            case _:
                return [self._part(part) for part in parts]

    def _part(self, part: Part) -> dict[str, Any]:
        if isinstance(part, File) and not self._same:
            part = _name_file(part)
        written = _write_part(part)
        cache = getattr(part, "cache", None)
        if cache and self._marks:
            written["cache_control"] = {"type": "ephemeral"} | (
                {"ttl": "1h"} if cache == "1h" else {}
            )
        return written


def _to_text(part: Part) -> Part:
    """Convert a text document: OpenAI accepts only PDF in a `file`, other providers nothing."""
    if isinstance(part, File) and isinstance(part.source, PlainText):
        return Text(part.source.text, part.cache)
    return part


def _write_part(part: Part) -> dict[str, Any]:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Image(source=Url(url=url)):
            return _write_image(url, part.detail)
        case Image(source=Base64() as source):
            return _write_image(data_url(source), part.detail)
        case Audio(source=Url(url=url)):
            return {"type": "input_audio", "input_audio": {"data": url}}
        case Audio(source=Base64(data=data, media_type=media_type)):
            audio = {"data": data, "format": audio_format(media_type)}
            return {"type": "input_audio", "input_audio": audio}
        case File():
            return {"type": "file", "file": _write_file(part)}
        case Video(source=Url(url=url)):
            return {"type": "video_url", "video_url": {"url": url}}
        case Video(source=Base64() as source):
            return {"type": "video_url", "video_url": {"url": data_url(source)}}
        case Refusal(text=text):
            return {"type": "text", "text": text}
        case _:
            raise _unsupported(f"{type(part).__name__.lower()} stored at another provider")


def _write_image(url: str, detail: str | None) -> dict[str, Any]:
    image = {"url": url} if detail is None else {"url": url, "detail": detail}
    return {"type": "image_url", "image_url": image}


def _write_file(part: File) -> dict[str, Any]:
    named = {"filename": part.name} if part.name else {}
    match part.source:
        case FileId(id=id_):
            return {"file_id": id_} | named
        case Base64() as source:
            return {"file_data": data_url(source)} | named
        case _:
            raise _unsupported("a file by its address")


def _name_file(part: File) -> File:
    """Name a file of another dialect, because OpenAI refuses files without a name."""
    if isinstance(part.source, FileId):
        raise _unsupported("a file stored at another provider")
    media_type = part.source.media_type if isinstance(part.source, Base64) else ""
    return structs.replace(part, name=file_name(part.name, media_type))


def _unsupported(what: str) -> RequestFault:
    sentence = f"{what} cannot be sent to this model's chat endpoint"
    return RequestFault("unsupported_capability", "messages", sentence)


def _audio_id(part: Audio) -> str:
    return part.source.id if isinstance(part.source, FileId) else part.id


def reasoning_text(parts: tuple[Part, ...]) -> str:
    """Return all reasoning of a message in order."""
    return "".join(part.text for part in parts if isinstance(part, Reasoning))


def write_citation(source: Source) -> dict[str, Any]:
    """Return a source as an annotation; without a position it is at 0 to 0."""
    annotation = {"url": source.url, "title": source.title}
    place = {"start_index": source.start or 0, "end_index": source.end or 0}
    return {"type": "url_citation", "url_citation": place | annotation}


class SealWriter:
    """Collects reasoning and seals until the call that they belong to."""

    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []
        self._owner = ""
        self._google = ""
        self._characters = 0

    def add_reasoning(self, text: str) -> None:
        """Add a piece of reasoning."""
        self._characters += len(text)

    def close(self) -> None:
        """Close open reasoning without a seal."""
        if self._characters:
            self._entries.append({"characters": self._characters})
            self._characters = 0

    def add_seal(self, seal: Seal) -> None:
        """Close open reasoning with its seal."""
        if seal.owner == "gemini":
            self.close()
            self._google = seal.value
            return
        self._owner = seal.owner
        entry: dict[str, Any] = {"characters": self._characters, "value": seal.value}
        if seal.redacted:
            entry["redacted"] = True
        if seal.id:
            entry["id"] = seal.id
        self._entries.append(entry)
        self._characters = 0

    def next_extra_content(self) -> dict[str, Any]:
        """Return the `extra_content` of the next call; {} if it has none."""
        self.close()
        extra: dict[str, Any] = {}
        if self._owner:
            extra[self._owner] = {"reasoning": self._entries}
            self._entries = []
        if self._google:
            extra["google"] = {"thought_signature": self._google}
        self._owner = self._google = ""
        return extra


def write_calls(
    parts: tuple[Part, ...], *, google: bool = True, others: bool = False
) -> list[dict[str, Any]]:
    """Return the tool calls of a message, with Gemini's seals and optionally those of others."""
    seals, calls = SealWriter(), []
    for part in parts:
        match part:
            case Reasoning(text=text, seal=seal):
                seals.add_reasoning(text)
                if seal is not None:
                    seals.add_seal(seal)
                seals.close()
            case ToolCall():
                call = write_call(part)
                wanted = {
                    owner: value
                    for owner, value in seals.next_extra_content().items()
                    if (google if owner == "google" else others)
                }
                calls.append(call | {"extra_content": wanted} if wanted else call)
    return calls


def write_call(call: ToolCall) -> dict[str, Any]:
    """Return one tool call; a function without arguments has an empty object."""
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function}
