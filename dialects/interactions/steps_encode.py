"""Write neutral messages as `system_instruction` and `input` of the interactions dialect."""

from collections.abc import Iterable, Iterator

import msgspec

from dialects.chat.chat import (
    Audio,
    Base64,
    ChatRequest,
    File,
    FileId,
    Image,
    JsonObject,
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
from dialects.chat.google_addresses import reads_address
from dialects.chat.google_seals import UNSEALED
from dialects.chat.turns import call_names, merge_messages, split_system
from dialects.errors.errors import RequestFault
from dialects.interactions.content import write_content
from dialects.json.lone_surrogates import make_readable

_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])


def write_conversation(
    request: ChatRequest, *, seal_due: bool
) -> tuple[str | None, list[JsonObject]]:
    """Return `system_instruction`, None without one, and the steps of `input`. If there is only
    system text, it is sent as the user's, because an input is required. `seal_due`: the model
    requires sealed calls. Raises RequestFault for parts that the dialect cannot express."""
    texts, rest = split_system(request.messages)
    writer = _Writer(request, seal_due=seal_due)
    steps = [step for turn in merge_messages(rest) for step in writer.turn(turn.role, turn.parts)]
    system = "\n\n".join(text.text for text in texts)
    if system and not steps:
        return None, [{"type": "user_input", "content": [{"type": "text", "text": system}]}]
    return system or None, steps


def write_call(id_: str, name: str, arguments: str) -> JsonObject:
    """Return a call."""
    written = write_arguments(arguments)
    return {"type": "function_call", "id": id_, "name": name, "arguments": written}


def write_arguments(text: str) -> msgspec.Raw | JsonObject:
    """Return the arguments of a call. A value that is not an object is wrapped as `_raw`."""
    return object_of(text or "{}") or {"_raw": text}


def object_of(text: str) -> msgspec.Raw | None:
    """Return a JSON object on one line; None if the text is not an object."""
    try:
        raw = make_readable(text.encode())
        _objects.decode(raw)
        return msgspec.Raw(msgspec.json.format(raw, indent=-1))
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None


def write_thought(text: str, signature: str) -> JsonObject:
    """Return a thought. Text and signature may be ""."""
    summary = {"summary": [{"type": "text", "text": text}]} if text else {}
    return {"type": "thought"} | ({"signature": signature} if signature else {}) | summary


class _Writer:
    def __init__(self, request: ChatRequest, *, seal_due: bool) -> None:
        self._request = request
        self._seal_due = seal_due
        self._names = call_names(request.messages)

    def turn(self, role: str, parts: tuple[Part, ...]) -> Iterator[JsonObject]:
        """Yield the steps of a turn."""
        if role == "assistant":
            yield from self._model(parts)
            return
        contents: list[JsonObject] = []
        for part in parts:
            if isinstance(part, ToolResult):
                yield self._result(part)
            elif (written := self._content(part)) is not None:
                contents.append(written)
        if contents:
            yield {"type": "user_input", "content": contents}

    def _model(self, parts: Iterable[Part]) -> Iterator[JsonObject]:
        contents: list[JsonObject] = []
        sealed = False
        for part in parts:
            if not isinstance(part, Reasoning | ToolCall | OwnPart):
                written = self._content(part)
                contents += [] if written is None else [written]
                continue
            steps = list(self._step(part, sealed=sealed))
            sealed = sealed or any("signature" in step for step in steps)
            if steps and contents:
                yield {"type": "model_output", "content": contents}
                contents = []
            yield from steps
        if contents:
            yield {"type": "model_output", "content": contents}

    def _step(self, part: Reasoning | ToolCall | OwnPart, *, sealed: bool) -> Iterator[JsonObject]:
        match part:
            case Reasoning(text=text, seal=seal) if seal is not None and seal.owner == "gemini":
                # Thoughts of other providers mean nothing to this one.
                yield write_thought(text, seal.value)
            case ToolCall(id=id_, name=name, arguments=arguments):
                if self._seal_due and not sealed:
                    yield write_thought("", UNSEALED)
                yield write_call(id_, name, arguments)
            case OwnPart(dialect="interactions", value=value):
                yield value

    def _content(self, part: Part) -> JsonObject | None:
        match part:
            case Text() | File(source=PlainText()):
                return write_content(part)
            case Refusal(text=text):
                return {"type": "text", "text": text}
            case Audio(source=FileId(), transcript=transcript):
                return {"type": "text", "text": transcript} if transcript else None
            case Image() | Audio() | File() | Video():
                self._check_source(part)
                return write_content(part)
            case _:
                return None

    def _check_source(self, part: Image | Audio | File | Video) -> None:
        source = part.source
        if isinstance(source, Base64):
            return
        if not isinstance(source, Url) or not reads_address(self._request, source):
            kind = type(part).__name__.lower()
            what = f"{kind} that is stored elsewhere cannot be sent to this model"
            raise RequestFault("unsupported_capability", "messages", what)

    def _result(self, result: ToolResult) -> JsonObject:
        name = self._names.get(result.call_id) or result.name
        contents = [part for inner in result.parts if (part := self._content(inner)) is not None]
        texts = [part for part in result.parts if isinstance(part, Text)]
        plain = len(texts) == len(result.parts)
        written: JsonObject = {"type": "function_result", "call_id": result.call_id}
        written |= {"name": name} if name else {}
        written |= {"is_error": True} if result.failed else {}
        return written | {"result": "\n".join(t.text for t in texts) if plain else contents}
