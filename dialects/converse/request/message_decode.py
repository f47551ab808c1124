"""Decode the messages of a converse request into neutral form.

A user turn with tool results becomes one message per result, and one for the parts between them. A
cache point marks the part before it. Blocks that only Amazon understands are kept unchanged.
"""

from typing import Any, Final

import msgspec

from dialects.chat.chat import (
    Audio,
    CacheMark,
    File,
    FunctionTool,
    Image,
    Message,
    OwnPart,
    Part,
    PlainText,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Video,
)
from dialects.chat.media import read_base64
from dialects.chat.turns import read_seal
from dialects.converse.forms import media_type_of
from dialects.converse.seals import read_redacted
from dialects.errors.errors import RequestFault
from dialects.json.members import Members

_ROLES: Final[tuple[Role, ...]] = ("user", "assistant", "system")
_MEDIA: Final = ("image", "video", "audio", "document")
_LIFETIMES: Final[tuple[CacheMark, ...]] = ("5m", "1h")
_MARKABLE: Final = (Text, Image, File, ToolResult, FunctionTool)
_S3: Final = "s3Location"


def read_system(body: Members) -> tuple[Message, ...]:
    """Return `system` as the first message; () without one."""
    parts: list[Any] = []
    for block in body.objects("system"):
        if not add_cache(block, parts):
            parts.append(_read_text(block))
    return (Message("system", tuple(parts)),) if parts else ()


def read_messages(body: Members) -> tuple[Message, ...]:
    """Return the conversation. Raises RequestFault, also for a tool result without an earlier
    call."""
    if not body.required("messages", body.array("messages")):
        body.refuse_value("messages", "must have at least 1 item")
    reader = _Reader()
    return tuple(read for message in body.objects("messages") for read in reader.read(message))


def add_cache(block: Members, before: list[Any]) -> bool:
    """Read a block that is a cache point: mark what is before it. Return whether it is one."""
    point = block.object("cachePoint")
    if point is None:
        return False
    mark = point.word("ttl", _LIFETIMES) or "5m"
    if before and isinstance(before[-1], _MARKABLE):
        before[-1] = msgspec.structs.replace(before[-1], cache=mark)
    return True


class _Reader:
    """Reads the messages in order and remembers their calls."""

    def __init__(self) -> None:
        self._calls: set[str] = set()

    def read(self, message: Members) -> list[Message]:
        role: Role = message.required("role", message.word("role", _ROLES))
        message.required("content", message.array("content"))
        messages: list[Message] = []
        parts: list[Part] = []
        for block in message.objects("content"):
            # A cache point after a result marks the result.
            if not parts and messages and block.has("cachePoint"):
                results = list(messages[-1].parts)
                add_cache(block, results)
                messages[-1] = msgspec.structs.replace(messages[-1], parts=tuple(results))
            elif add_cache(block, parts):
                continue
            elif block.has("toolResult"):
                if parts:
                    messages.append(Message(role, tuple(parts)))
                    parts = []
                messages.append(Message("tool", (self._read_result(block),)))
            else:
                parts += self._read_block(block)
        if parts or not messages:
            messages.append(Message(role, tuple(parts)))
        return messages

    def _read_block(self, block: Members) -> list[Part]:
        if block.has("toolUse"):
            return [self._read_call(block)]
        if block.has("reasoningContent"):
            return _read_reasoning(block)
        return read_part(block)

    def _read_call(self, block: Members) -> ToolCall:
        use = block.required("toolUse", block.object("toolUse"))
        id_ = use.required("toolUseId", use.text("toolUseId") or None)
        self._calls.add(id_)
        given = use.value.get("input")
        # Some clients write the arguments of a stream back as the text that they were.
        text = given if isinstance(given, str) else None
        if text is None:
            tool_input = use.required("input", use.json("input"))
            text = msgspec.json.encode(tool_input).decode()
        return ToolCall(id_, use.required("name", use.text("name")), text)

    def _read_result(self, block: Members) -> ToolResult:
        result = block.required("toolResult", block.object("toolResult"))
        call_id = result.required("toolUseId", result.text("toolUseId"))
        if call_id not in self._calls:
            result.refuse("invalid_type", "toolUseId", "must be the id of an earlier toolUse")
        result.required("content", result.array("content"))
        failed = result.word("status", ("success", "error")) == "error"
        parts: list[Text | Image | File] = []
        for inner in result.objects("content"):
            value = inner.value.get("json")
            if value is not None:
                parts.append(Text(msgspec.json.encode(value).decode()))
                continue
            for part in read_part(inner):
                if not isinstance(part, Text | Image | File):
                    inner.refuse("unsupported_capability", "", "cannot be part of a result")
                parts.append(part)
        return ToolResult(call_id, tuple(parts), failed)


def read_part(block: Members) -> list[Part]:
    """Return the parts of a block that has a meaning on both sides."""
    if block.has("text", "guardContent"):
        return [_read_text(block)]
    for member in _MEDIA:
        if block.has(member):
            return [_read_media(member, block.required(member, block.object(member)))]
    if block.has("citationsContent"):
        content = block.required("citationsContent", block.object("citationsContent"))
        return [Text(piece.text("text") or "") for piece in content.objects("content")]
    name = next(iter(block.rest(())), "")
    if not name:
        block.refuse("invalid_type", "", "must have a member")
    return [OwnPart("converse", block.value)]


def _read_text(block: Members) -> Text:
    guarded = block.object("guardContent")
    if guarded is not None:
        inner = guarded.required("text", guarded.object("text"))
        return Text(inner.required("text", inner.text("text")))
    return Text(block.required("text", block.text("text")))


def _read_reasoning(block: Members) -> list[Part]:
    content = block.required("reasoningContent", block.object("reasoningContent"))
    reasoning = content.object("reasoningText")
    if reasoning is None:
        data = content.required("redactedContent", content.text("redactedContent"))
        seal = read_redacted(data)
        if seal is None:
            content.refuse_type("redactedContent", "base64")
        return [Reasoning("", seal)]
    text, signature = reasoning.text("text") or "", reasoning.text("signature")
    seal = read_seal(signature, "anthropic") if signature else None
    return [Reasoning(text, seal)] if text or seal else []


def _read_media(member: str, media: Members) -> Part:
    source = media.required("source", media.object("source"))
    if source.has(_S3):
        what = f"{source.at(_S3)}: files of S3 cannot be read here; send bytes"
        raise RequestFault("unsupported_capability", source.at(_S3), what)
    if member == "document" and not source.has("bytes"):
        return _read_words(media, source)
    data = source.required("bytes", source.text("bytes"))
    kind = media.text("format") or ("txt" if member == "document" else "")
    media_type = media_type_of(member, kind)
    if media_type is None:
        media.refuse_value("format", f"is not a format of {member} that is known")
    read = read_base64(data, media_type, source.at("bytes"))
    match member:
        case "image":
            return Image(read)
        case "video":
            return Video(read)
        case "audio":
            return Audio(read)
    return File(read, media.text("name") or "")


def _read_words(media: Members, source: Members) -> File:
    text = source.text("text")
    if text is None:
        source.required("content", source.array("content"))
        text = "\n".join(piece.text("text") or "" for piece in source.objects("content"))
    return File(PlainText(text), media.text("name") or "")
