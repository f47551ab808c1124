"""Decode the messages of an anthropic request into neutral form.

A user turn with tool results becomes one message per result, and one for the parts between them.
Blocks that only the provider itself understands are kept unchanged.
"""

from typing import Any

import msgspec

from dialects.anthropic.answer.events import read_source
from dialects.chat.chat import (
    Base64,
    CacheMark,
    File,
    FileId,
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
    Url,
)
from dialects.chat.events import Seal, Source
from dialects.chat.media import read_base64
from dialects.chat.turns import read_seal
from dialects.json.members import Members

_ROLES: tuple[Role, ...] = ("user", "assistant", "system")
_OWN = frozenset({"container_upload", "compaction", "tool_reference"})
_OWN_ENDINGS = ("_tool_use", "_tool_result")


def read_system(body: Members) -> tuple[Message, ...]:
    """Return the top-level `system` as the first message; () without one."""
    if isinstance(body.value.get("system"), str):
        texts: tuple[Part, ...] = (Text(body.value["system"]),) if body.value["system"] else ()
    else:
        texts = tuple(_read_text(block) for block in body.objects("system"))
    return (Message("system", texts),) if texts else ()


def read_messages(body: Members) -> tuple[Message, ...]:
    """Return the conversation. Raises RequestFault, also for a tool result without an earlier
    call."""
    items = body.array("messages")
    if not body.required("messages", items):
        body.refuse_value("messages", "must have at least 1 item")
    reader = _Reader()
    return tuple(read for message in body.objects("messages") for read in reader.read(message))


class _Reader:
    """Reads the messages in order and remembers their calls."""

    def __init__(self) -> None:
        self._calls: set[str] = set()

    def read(self, message: Members) -> list[Message]:
        role: Role = message.required("role", message.word("role", _ROLES))
        blocks = _read_content(message)
        if blocks is None:
            text = message.value["content"]
            return [Message(role, (Text(text),) if text else ())]
        if role == "assistant":
            parts = tuple(part for block in blocks for part in self._read_assistant(block))
            return [Message(role, parts, citations=_read_citations(blocks))]
        if role == "system":
            return [Message(role, tuple(_read_text(block) for block in blocks))]
        return self._read_user(blocks)

    def _read_user(self, blocks: list[Members]) -> list[Message]:
        messages: list[Message] = []
        parts: list[Part] = []
        for block in blocks:
            if block.text("type") != "tool_result":
                parts += read_parts(block)
                continue
            if parts:
                messages.append(Message("user", tuple(parts)))
                parts = []
            messages.append(Message("tool", (self._read_result(block),)))
        if parts or not messages:
            messages.append(Message("user", tuple(parts)))
        return messages

    def _read_result(self, block: Members) -> ToolResult:
        call_id = block.required("tool_use_id", block.text("tool_use_id"))
        if call_id not in self._calls:
            block.refuse("invalid_type", "tool_use_id", "must be the id of an earlier tool_use")
        failed, cache = bool(block.boolean("is_error")), read_cache(block)
        if block.value.get("content") is None:
            return ToolResult(call_id, (), failed, cache=cache)
        inner = _read_content(block)
        if inner is None:
            text = block.value["content"]
            return ToolResult(call_id, (Text(text),) if text else (), failed, cache=cache)
        parts = [part for inner_block in inner for part in read_parts(inner_block)]
        supported = tuple(part for part in parts if isinstance(part, Text | Image | File))
        return ToolResult(call_id, supported, failed, cache=cache)

    def _read_assistant(self, block: Members) -> list[Part]:
        kind = block.text("type")
        if kind == "tool_use":
            return [self._read_call(block)]
        if kind == "thinking":
            text = block.required("thinking", block.text("thinking"))
            signature = block.text("signature")
            seal = read_seal(signature, "anthropic") if signature else None
            return [Reasoning(text, seal)] if text or seal else []
        if kind == "redacted_thinking":
            data = block.required("data", block.text("data"))
            return [Reasoning("", Seal("anthropic", data, redacted=True))]
        return read_parts(block)

    def _read_call(self, block: Members) -> ToolCall:
        id_ = block.required("id", block.text("id") or None)
        self._calls.add(id_)
        tool_input = block.required("input", block.json("input"))
        arguments = msgspec.json.encode(tool_input).decode()
        return ToolCall(id_, block.required("name", block.text("name")), arguments)


def _read_content(holder: Members) -> list[Members] | None:
    """Return the blocks of `content`; None if it is a string."""
    content = holder.value.get("content")
    if isinstance(content, str):
        return None
    if content is not None and not isinstance(content, list):
        holder.refuse_type("content", "a string or an array")
    holder.required("content", content)
    return holder.objects("content")


def read_parts(block: Members) -> list[Part]:
    """Return the parts of one block of a user turn or tool result; a document may have several."""
    kind = block.required("type", block.text("type"))
    if kind == "text":
        return [_read_text(block)]
    if kind == "image":
        source = block.required("source", block.object("source"))
        return [Image(_read_address(source), cache=read_cache(block))]
    if kind == "document":
        return _read_document(block)
    if kind == "search_result":
        return [_read_search_result(block)]
    if kind in _OWN or kind.endswith(_OWN_ENDINGS):
        return [OwnPart("anthropic", block.value)]
    block.refuse_value("type", "must be a block of a message")


def _read_text(block: Members) -> Text:
    block.required("type", block.text("type"))
    return Text(block.required("text", block.text("text")), read_cache(block))


def _read_document(block: Members) -> list[Part]:
    """Return a document's parts; the client's title and context come first."""
    about = block.text("context")
    parts: list[Part] = [Text(about)] if about else []
    source = block.required("source", block.object("source"))
    name, cache = block.text("title") or "", read_cache(block)
    kind = source.required("type", source.text("type"))
    if kind == "content":
        inner = _read_content(source)
        if inner is None:
            return [*parts, File(PlainText(source.value["content"]), name, cache)]
        return [*parts, *(part for inner_block in inner for part in read_parts(inner_block))]
    if kind == "text":
        text = PlainText(source.required("data", source.text("data")))
        return [*parts, File(text, name, cache)]
    return [*parts, File(_read_address(source), name, cache)]


def _read_address(source: Members) -> Url | Base64 | FileId:
    kind = source.required("type", source.word("type", ("base64", "url", "file")))
    if kind == "url":
        return Url(source.required("url", source.text("url")))
    if kind == "file":
        return FileId(source.required("file_id", source.text("file_id")))
    media_type = source.required("media_type", source.text("media_type"))
    return read_base64(source.required("data", source.text("data")), media_type, source.at("data"))


def _read_search_result(block: Members) -> Text:
    """Return the client's own search results as text."""
    texts = [item.required("text", item.text("text")) for item in block.objects("content")]
    head = [block.text("title") or "", block.text("source") or ""]
    return Text("\n".join([line for line in [*head, *texts] if line]), read_cache(block))


def read_cache(block: Members) -> CacheMark | None:
    """Return the cache mark of a block or tool, None without one."""
    mark = block.object("cache_control")
    if mark is None:
        return None
    return "1h" if mark.value.get("ttl") == "1h" else "5m"


def _read_citations(blocks: list[Members]) -> tuple[Source, ...]:
    """Return the sources of a turn's texts, each with the position of its block."""
    sources: list[Source] = []
    at = 0
    for block in blocks:
        text: Any = block.value.get("text")
        if block.value.get("type") != "text" or not isinstance(text, str):
            continue
        for citation in block.array("citations") or []:
            source = read_source(citation, at, at + len(text))
            if source is not None:
                sources.append(source)
        at += len(text)
    return tuple(sources)
