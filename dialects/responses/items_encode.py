"""Write neutral messages as input items of the responses dialect."""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any, Final

from dialects.chat.chat import (
    Audio,
    Base64,
    ChatRequest,
    File,
    FileId,
    Image,
    JsonObject,
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
from dialects.chat.events import Source, TokenLogprob
from dialects.chat.media import audio_format, data_url, file_name
from dialects.chat.turns import derive_id, split_system
from dialects.errors.errors import RequestFault

_PLAIN_TEXT: Final = "text/plain"
# OpenAI's specification of the Responses API.
_CALL_ID_MAX: Final = 64


def write_conversation(request: ChatRequest) -> tuple[str, list[JsonObject]]:
    """Return the `instructions` and the items of a conversation. The system texts of another
    dialect are joined to the instructions. Raises RequestFault for parts that the dialect cannot
    express.
    """
    messages = request.messages
    if request.dialect != "responses":
        texts, messages = split_system(messages)
        instructions = "\n\n".join(text.text for text in texts)
    else:
        instructions, messages = _take_instructions(messages)
    writer = _Writer(request)
    items = [item for message in messages for item in writer.items(message)]
    if instructions and not items:
        # An input is required: system texts alone become the input.
        return "", [{"type": "message", "role": "system", "content": instructions}]
    return instructions, items


def _take_instructions(messages: tuple[Message, ...]) -> tuple[str, tuple[Message, ...]]:
    match messages[:1]:
        case [Message(role="system", parts=[Text(text=text)])] if text:
            return text, messages[1:]
        case _:
            return "", messages


class _Writer:
    def __init__(self, request: ChatRequest) -> None:
        self._request_id = request.request_id
        self._same = request.dialect == "responses"
        self._images = 0

    def items(self, message: Message) -> Iterator[JsonObject]:
        """Yield the items of one message, in the order of its parts."""
        if message.role == "assistant":
            yield from self._assistant(message)
        elif message.role == "tool":
            yield from (_result(part) for part in message.parts if isinstance(part, ToolResult))
        else:
            content: list[Part] = []
            for part in message.parts:
                if isinstance(part, OwnPart):
                    yield from _write_own_part(part)
                else:
                    content.append(part)
            if content:
                yield {"type": "message", "role": message.role, "content": self._content(content)}

    def _assistant(self, message: Message) -> Iterator[JsonObject]:
        spoken: list[Text | Refusal] = []
        cites = _CitationWriter(message.citations)
        for part in message.parts:
            if isinstance(part, Audio) and part.transcript:
                # Spoken answers cannot be sent back as sound.
                part = Text(part.transcript)
            if isinstance(part, Text | Refusal):
                spoken.append(part)
                continue
            items = list(self._write_item(part))
            if items:
                yield from _write_spoken(spoken, cites)
                spoken = []
            yield from items
        yield from _write_spoken(spoken, cites)

    def _write_item(self, part: Part) -> Iterator[JsonObject]:
        """Yield the item of a part; parts that only other dialects understand are left out."""
        match part:
            case Reasoning(seal=seal) if seal is not None and seal.owner == "openai":
                summary = [{"type": "summary_text", "text": part.text}] if part.text else []
                id_ = {"id": seal.id} if seal.id else {}
                sealed = {"encrypted_content": seal.value}
                yield {"type": "reasoning"} | id_ | {"summary": summary} | sealed
            case ToolCall():
                yield write_call(part)
            case Image(source=Base64(data=data, media_type=media_type)):
                self._images += 1
                id_text = derive_id("ig_", self._request_id, "history", self._images)
                yield write_image_item(id_text, data, media_type)
            case OwnPart():
                yield from _write_own_part(part)

    def _content(self, parts: Iterable[Part]) -> str | list[JsonObject]:
        """Return a string where a string is enough, otherwise a list of parts."""
        match parts:
            case [Text(text=text)]:
                return text
            case _:
                return [self._part(part) for part in parts]

    def _part(self, part: Part) -> JsonObject:
        if isinstance(part, Image) and isinstance(part.source, FileId) and self._same:
            return {"type": "input_image", "file_id": part.source.id} | _detail(part)
        return _write_part(part)


def _write_own_part(part: OwnPart) -> Iterator[JsonObject]:
    if part.dialect == "responses":
        yield part.value


def _result(result: ToolResult) -> JsonObject:
    output: str | list[JsonObject]
    match result.parts:
        case ():
            output = ""
        case (Text(text=text),):
            output = text
        case parts:
            output = [_write_part(part) for part in parts]
    return {"type": "function_call_output", "call_id": _fit_id(result.call_id), "output": output}


def _fit_id(id_: str) -> str:
    """Return a call's id. One that is too long becomes a digest, which is the same in every request
    of the conversation, so the provider's cache still fits."""
    return id_ if len(id_) <= _CALL_ID_MAX else derive_id("call_", "", id_)


def write_call(call: ToolCall) -> JsonObject:
    """Return a function_call; a function without arguments has an empty object."""
    named = {"call_id": _fit_id(call.id), "name": call.name}
    return {"type": "function_call"} | named | {"arguments": call.arguments or "{}"}


def write_image_item(id_: str, data: str, media_type: str) -> JsonObject:
    """Return an item for a picture that a model created."""
    item = {"type": "image_generation_call", "id": id_, "status": "completed", "result": data}
    format_ = media_type.rpartition("/")[2]
    return item if format_ == "png" else item | {"output_format": format_}


def _write_spoken(parts: list[Text | Refusal], cites: "_CitationWriter") -> Iterator[JsonObject]:
    """Write the assistant's text as a message, or as a plain string where that is enough."""
    content = [
        cites.write(part) if isinstance(part, Text) else write_refusal(part.text) for part in parts
    ]
    if content:
        body: Any = content
        if len(parts) == 1 and not content[0].get("annotations", True):
            body = content[0]["text"]
        yield {"type": "message", "role": "assistant", "content": body}


class _CitationWriter:
    """Assigns the citations of a turn to its texts, by their position in the turn's text."""

    def __init__(self, sources: tuple[Source, ...]) -> None:
        self._sources = list(sources)
        self._length = 0

    def write(self, text: Text) -> JsonObject:
        base, self._length = self._length, self._length + len(text.text)
        here = [
            citation
            for citation in self._sources
            if citation.start is None or citation.start < self._length
        ]
        self._sources = [citation for citation in self._sources if citation not in here]
        annotations = [write_citation(source, base) for source in here]
        return {"type": "output_text", "text": text.text, "annotations": annotations}


def write_citation(source: Source, base: int) -> JsonObject:
    """Return a source as an annotation of a text that begins at character `base` of the answer. One
    without a position is at 0 to 0.
    """
    place = {
        "start_index": max(0, (source.start or 0) - base),
        "end_index": max(0, (source.end or 0) - base),
    }
    return {"type": "url_citation"} | place | {"url": source.url, "title": source.title}


def write_logprobs(tokens: Iterable[TokenLogprob]) -> list[JsonObject]:
    """Return the likelihoods of a piece of text; unknown bytes are those of the text."""
    return [
        {
            "token": token.token,
            "logprob": token.logprob,
            "bytes": _bytes(token.token, token.bytes),
            "top_logprobs": [
                {
                    "token": top.token,
                    "logprob": top.logprob,
                    "bytes": _bytes(top.token, top.bytes),
                }
                for top in token.top
            ],
        }
        for token in tokens
    ]


def _bytes(token: str, values: tuple[int, ...] | None) -> tuple[int, ...]:
    return tuple(token.encode(errors="replace")) if values is None else values


def write_refusal(text: str) -> JsonObject:
    """Return a refusal in words."""
    return {"type": "refusal", "refusal": text}


def _write_part(part: Part) -> JsonObject:
    match part:
        case Text(text=text) | Refusal(text=text):
            return {"type": "input_text", "text": text}
        case Image(source=Url(url=url)) if _is_web(url):
            return {"type": "input_image", "image_url": url} | _detail(part)
        case Image(source=Base64() as source):
            return {"type": "input_image", "image_url": data_url(source)} | _detail(part)
        case Audio(source=Base64(data=data, media_type=media_type)):
            audio = {"data": data, "format": audio_format(media_type)}
            return {"type": "input_audio", "input_audio": audio}
        case File(source=Url(url=url)) if _is_web(url):
            return {"type": "input_file", "file_url": url}
        case File(source=Base64() as source, name=name):
            return _file(source, name)
        case File(source=PlainText(text=text), name=name):
            return _file(Base64(b64encode(text.encode()).decode(), _PLAIN_TEXT), name)
        case Image() | Audio() | File() | Video():
            what = type(part).__name__.lower()
            raise _unsupported(f"{what} of this form cannot be sent to this model's endpoint")
        case _:
            raise _unsupported("a part of another turn cannot stand in this one")


def _detail(image: Image) -> JsonObject:
    """`detail` is required; its default is auto."""
    return {"detail": image.detail or "auto"}


def _file(source: Base64, name: str) -> JsonObject:
    named = file_name(name, source.media_type)
    return {"type": "input_file", "filename": named, "file_data": data_url(source)}


def _is_web(url: str) -> bool:
    return url.lower().startswith(("https://", "http://"))


def _unsupported(what: str) -> RequestFault:
    return RequestFault("unsupported_capability", "messages", what)
