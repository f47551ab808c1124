"""The members of an anthropic answer that are read, for whole and streamed answers. The parser
skips all other members. A text that does not match these structs is parsed again, more slowly, and
converted.
"""

from typing import Any, TypeVar

import msgspec

from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import ABSENT, ReadFault, parser, top_members


class Block(msgspec.Struct, gc=False):
    """A content block, or the start of a block in a stream."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = ABSENT
    citations: msgspec.Raw = ABSENT
    source: msgspec.Raw = ABSENT


class Delta(msgspec.Struct, gc=False):
    """What `content_block_delta` adds to a block, and `message_delta` to the message."""

    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    citation: msgspec.Raw = ABSENT
    stop_reason: str | None = None
    stop_sequence: str | None = None


class Message(msgspec.Struct, gc=False):
    """A whole answer, the start of a streamed one in `message_start`, or an error instead."""

    type: str | None = None
    id: str | None = None
    model: str | None = None
    content: list[Block] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class StreamEvent(msgspec.Struct, gc=False):
    """The data of one event of a stream."""

    type: str | None = None
    index: int | None = None
    delta: Delta | None = None
    content_block: Block | None = None
    message: Message | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


_T = TypeVar("_T", bound=msgspec.Struct)

_INNER: dict[str, type[msgspec.Struct]] = {
    "delta": Delta,
    "content_block": Block,
    "message": Message,
}
# Content of another type is kept as JSON, so that it is still counted and sent.
_TEXTS = frozenset({"text", "thinking", "partial_json"})


def _read_loosely(data: bytes | msgspec.Raw, kind: type[_T]) -> _T:
    """Read valid JSON of unexpected types: keep what can be understood, ignore the rest."""
    members = top_members(data)
    known: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        raw = members.get(field.name)
        if raw is not None:
            try:
                known[field.name] = msgspec.json.decode(raw, type=field.type)
            except NOT_JSON:
                known[field.name] = _as_text_or_value(field.name, raw)
    return kind(**known)


def _as_text_or_value(name: str, raw: msgspec.Raw) -> Any:
    if name in _TEXTS:
        return bytes(raw).decode()
    try:
        if name == "content":
            blocks = msgspec.json.decode(raw, type=list[msgspec.Raw])
            return [_read_loosely(block, Block) for block in blocks]
        inner = _INNER.get(name)
        return None if inner is None else _read_loosely(raw, inner)
    except (ReadFault, *NOT_JSON):
        return None


# Parse the data of one event, and a whole answer. They raise ReadFault when it is no JSON object.
read_event = parser(StreamEvent, lambda data: _read_loosely(data, StreamEvent))
read_message = parser(Message, lambda data: _read_loosely(data, Message))
