"""The members of an answer that are read, whole and streamed. Source: the API reference of Converse
and ConverseStream (docs.aws.amazon.com, 2026-08)."""

from typing import Final

import msgspec

from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import ABSENT, ReadFault


class ReasoningText(msgspec.Struct):
    text: str | None = None


class Reasoning(msgspec.Struct, rename="camel"):
    """The reasoning in a block (`reasoningText`) or a delta (`text`)."""

    reasoning_text: ReasoningText | None = None
    text: str | None = None


class ToolUse(msgspec.Struct, rename="camel"):
    """A tool call: in a block (`input` is an object), in the start of a block, or in a delta
    (`input` is a text)."""

    tool_use_id: str | None = None
    name: str | None = None
    input: msgspec.Raw = ABSENT


class ImageSource(msgspec.Struct):
    bytes: str | None = None


class Image(msgspec.Struct):
    format: str | None = None
    source: ImageSource | None = None


class CitationSource(msgspec.Struct):
    text: str | None = None


class Citation(msgspec.Struct, rename="camel"):
    title: str | None = None
    source: str | None = None
    source_content: list[CitationSource] | None = None


class CitedText(msgspec.Struct):
    text: str | None = None


class Citations(msgspec.Struct):
    content: list[CitedText] | None = None
    citations: list[Citation] | None = None


class Block(msgspec.Struct, rename="camel"):
    """A block of content, or a delta of one."""

    text: str | None = None
    tool_use: ToolUse | None = None
    reasoning_content: Reasoning | None = None
    image: Image | None = None
    citations_content: Citations | None = None
    citation: Citation | None = None


class Message(msgspec.Struct):
    content: list[Block] | None = None


class Output(msgspec.Struct):
    message: Message | None = None


class Tier(msgspec.Struct):
    type: msgspec.Raw = ABSENT


class Answer(msgspec.Struct, rename="camel"):
    """A whole answer, or an error that is sent as one."""

    error_name: str | None = msgspec.field(default=None, name="__type")
    output: Output | None = None
    stop_reason: str | None = None
    usage: msgspec.Raw = ABSENT
    service_tier: Tier | None = None


class StreamEvent(msgspec.Struct, rename="camel"):
    """One event of a stream; its name is in the message's headers."""

    content_block_index: int | None = None
    start: Block | None = None
    delta: Block | None = None
    stop_reason: str | None = None
    usage: msgspec.Raw = ABSENT
    service_tier: Tier | None = None


_answer: Final = msgspec.json.Decoder(Answer)
_event: Final = msgspec.json.Decoder(StreamEvent)


def read_answer(raw: bytes) -> Answer:
    """Parse an answer. Raises ReadFault."""
    try:
        return _answer.decode(raw)
    except NOT_JSON as error:
        raise ReadFault from error


def read_event(raw: bytes) -> StreamEvent:
    """Parse an event. Raises ReadFault."""
    try:
        return _event.decode(raw)
    except NOT_JSON as error:
        raise ReadFault from error


def usage_of(answer: Answer | StreamEvent) -> bytes | None:
    """Return the raw usage object with the service tier as a member; None without one."""
    raw = bytes(answer.usage)
    if answer.usage is ABSENT or raw == b"null":
        return None
    tier = answer.service_tier
    if tier is None or tier.type is ABSENT or not raw.startswith(b"{"):
        return raw
    members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    return msgspec.json.encode(members | {"serviceTier": tier.type})
