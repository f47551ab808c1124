"""Decode `contents` and `systemInstruction` into neutral messages.

A user's turn becomes several messages: one for each functionResponse, one for the parts between.
Calls without ids get one of ours, and a response without an id answers the earliest open call of
its name, in the latest turn that has one. A seal belongs to the part that carries it; on a thought
it closes the thought.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from dialects.chat.chat import (
    Audio,
    Base64,
    File,
    Image,
    Message,
    OwnPart,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Url,
    Video,
)
from dialects.chat.events import Seal
from dialects.chat.google_seals import UNSEALED, read_signature
from dialects.chat.media import read_base64, read_url
from dialects.chat.turns import derive_id
from dialects.gemini.names import camel, read_objects
from dialects.json.lone_surrogates import object_line
from dialects.json.members import Members

_ROLES: Final = ("user", "model", "function")
# The members that determine a part's kind; the others only accompany them.
_KINDS: Final = (
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
)
_BESIDE: Final = frozenset({"thought", "thoughtSignature", *_KINDS})


class ContentsReader:
    """Reads the contents in order and remembers their calls. `unknown_members` names the members of
    parts without a neutral counterpart.
    """

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._open: list[list[tuple[str, str]]] = []
        self._calls = 0
        self.unknown_members: dict[str, Any] = {}

    def system(self, body: Members) -> tuple[Message, ...]:
        """Return the system text as one message, or none."""
        if isinstance(body.value.get("systemInstruction"), str):
            texts = [Text(body.value["systemInstruction"])]
        elif content := body.object("systemInstruction"):
            texts = [
                Text(part.required("text", part.text("text")))
                for part in read_objects(camel(content), "parts")
            ]
        else:
            texts = []
        return (Message("system", tuple(texts)),) if texts else ()

    def messages(self, body: Members) -> tuple[Message, ...]:
        """Return the conversation. Raises RequestFault, also for a response that answers no earlier
        call."""
        contents = read_objects(body, "contents")
        if not contents:
            body.required("contents", body.value.get("contents"))
            body.refuse_value("contents", "must have at least 1 item")
        return tuple(self._read(contents))

    def _read(self, contents: list[Members]) -> Iterator[Message]:
        """Yield the messages. Consecutive contents of the model are one turn, because clients store
        the chunks of a stream."""
        turn_parts: list[Members] | None = None
        for content in contents:
            role = content.word("role", _ROLES) if content.value.get("role") != "" else None
            parts = read_objects(content, "parts")
            if role == "model":
                turn_parts = [*(turn_parts or ()), *parts]
                continue
            if turn_parts is not None:
                yield self._assistant(turn_parts)
                turn_parts = None
            yield from self._user_messages(parts)
        if turn_parts is not None:
            yield self._assistant(turn_parts)

    def _assistant(self, parts: list[Members]) -> Message:
        self._open.append([])
        return Message("assistant", tuple(_join_texts(self._read_model_turn(parts))))

    def _user_messages(self, parts: list[Members]) -> Iterator[Message]:
        turn_parts: list[Part] = []
        for part in parts:
            if part.has("functionResponse"):
                if turn_parts:
                    yield Message("user", tuple(turn_parts))
                    turn_parts = []
                yield Message("tool", (self._result(part),))
            else:
                turn_parts.append(self._user(part))
        if turn_parts:
            yield Message("user", tuple(turn_parts))

    def _read_model_turn(self, parts: list[Members]) -> Iterator[Part]:
        thought: list[str] = []
        for part in parts:
            self._record_unknown(part)
            seal = _read_seal(part)
            if part.boolean("thought"):
                thought.append(part.text("text") or "")
                if seal is not None:
                    yield Reasoning("".join(thought), seal)
                    thought = []
                continue
            if any(thought):
                yield Reasoning("".join(thought))
            thought = []
            if seal is not None:
                yield Reasoning("", seal)
            if part.value.get("text") != "" or part.has("functionCall"):
                yield self._call(part) if part.has("functionCall") else _read_part(part)
        if any(thought):
            yield Reasoning("".join(thought))

    def _user(self, part: Members) -> Part:
        self._record_unknown(part)
        if part.has("functionCall"):
            part.refuse_value("functionCall", "must be in a turn of the role model")
        return _read_part(part)

    def _record_unknown(self, part: Members) -> None:
        for name, value in part.rest(_BESIDE).items():
            self.unknown_members[f"contents.parts.{name}"] = value

    def _call(self, part: Members) -> ToolCall:
        call = camel(part.required("functionCall", part.object("functionCall")))
        name = call.required("name", call.text("name"))
        self._calls += 1
        id_ = call.text("id") or derive_id("call_", self._request_id, "contents", self._calls)
        self._open[-1].append((id_, name))
        args = call.json("args")
        return ToolCall(id_, name, "" if not args else msgspec.json.encode(args).decode())

    def _result(self, part: Members) -> ToolResult:
        result = camel(part.required("functionResponse", part.object("functionResponse")))
        name = result.required("name", result.text("name"))
        call_id = self._call_id(result, name)
        text, failed = _read_response(result.json("response") or {})
        parts: list[Text | Image | File] = [] if text is None else [Text(text)]
        for inner in read_objects(result, "parts"):
            read = _read_part(inner)
            if not isinstance(read, Image | File):
                inner.refuse("invalid_value", "inlineData", "must be an image or a document")
            parts.append(read)
        return ToolResult(call_id, tuple(parts), failed, name)

    def _call_id(self, result: Members, name: str) -> str:
        """Return the id of the call that a result answers: by the id in it, else by the function's
        name."""
        result_id = result.text("id")
        for by_id in (True, False):
            for turn in reversed(self._open):
                for id_, called in turn:
                    if id_ == result_id if by_id else called == name:
                        turn.remove((id_, called))
                        return id_
        result.refuse("invalid_type", "name", "must be that of an earlier call without a response")


def _join_texts(parts: Iterable[Part]) -> Iterator[Part]:
    """Join adjacent texts, because white space alone would be lost as a part."""
    words: list[str] = []
    for part in parts:
        if isinstance(part, Text):
            words.append(part.text)
            continue
        if words:
            yield Text("".join(words))
            words = []
        yield part
    if words:
        yield Text("".join(words))


def _read_seal(part: Members) -> Seal | None:
    signature = part.text("thoughtSignature")
    return None if not signature or signature == UNSEALED else read_signature(signature)


def _read_part(part: Members) -> Part:
    kind = next((kind for kind in _KINDS if part.has(kind)), None)
    match kind:
        case "text":
            return Text(part.text("text") or "")
        case "inlineData":
            blob = camel(part.required(kind, part.object(kind)))
            media_type = blob.required("mimeType", blob.text("mimeType"))
            data = blob.required("data", blob.text("data")).translate(_STANDARD)
            return _media(read_base64(data, media_type, blob.at("data")))
        case "fileData":
            file = camel(part.required(kind, part.object(kind)))
            url = file.required("fileUri", file.text("fileUri"))
            source = read_url(url, file.at("fileUri"))
            if isinstance(source, Url):
                source = Url(source.url, file.text("mimeType") or "")
            return _media(source)
        case "executableCode" | "codeExecutionResult":
            return OwnPart("gemini", part.value)
        case _:
            name = next(iter(part.rest(_BESIDE)), "text")
            part.refuse_value(name, "is not a part that can be sent to this model")


# Data may be written in the URL-safe alphabet.
_STANDARD = str.maketrans("-_", "+/")


def _media(source: Base64 | Url) -> Part:
    kind = source.media_type.partition("/")[0].lower()
    match kind:
        case "image":
            return Image(source)
        case "audio":
            return Audio(source)
        case "video":
            return Video(source)
        case "" if "youtu" in getattr(source, "url", ""):
            return Video(source)
        case _:
            return File(source)


def _read_response(response: dict[str, Any]) -> tuple[str | None, bool]:
    """Return the text of a function response, and whether it reports a failure. The text of an
    object is its JSON, unless the object only wraps a result. A `result` whose text is itself an
    object remains wrapped, so that it is not mistaken for the object."""
    if len(response) == 1:
        ((name, value),) = response.items()
        if isinstance(value, str) and name in ("result", "error") and object_line(value) is None:
            return value, name == "error"
    return msgspec.json.encode(response).decode() if response else None, False
