"""The members of a responses answer that are read, for whole and streamed answers. The parser skips
all other members. Compatible servers differ in types, so a text that does not match these structs
is parsed again, more slowly, and converted.
"""

from typing import Any, TypeVar

import msgspec

from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import ABSENT, members_of, parser, top_members, value_bytes

FAILED = frozenset({"failed", "cancelled"})
_INTEGER_MAX = 2**53
_T = TypeVar("_T", "StreamEvent", "Response")


class StreamEvent(msgspec.Struct, gc=False):
    """One event of a stream. `delta`, `text` and `arguments` belong to the item or part named."""

    type: str = ""
    sequence_number: int | None = None
    output_index: int | None = None
    item_id: str | None = None
    content_index: int | None = None
    summary_index: int | None = None
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    item: msgspec.Raw = ABSENT
    response: msgspec.Raw = ABSENT
    annotation: msgspec.Raw = ABSENT
    logprobs: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class Response(msgspec.Struct, gc=False):
    """A whole response, or a compaction, which has neither status nor model."""

    object: str = ""
    id: str = ""
    model: str = ""
    created_at: int = 0
    status: str = ""
    service_tier: str | None = None
    error: msgspec.Raw = ABSENT
    incomplete_details: msgspec.Raw = ABSENT
    output: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    tool_usage: msgspec.Raw = ABSENT

    @property
    def whole_usage(self) -> bytes | None:
        """Return the raw usage, including that of tools that made pictures with another model."""
        usage = value_bytes(self.usage)
        if usage is None or b'"image_gen"' not in bytes(self.tool_usage):
            return usage
        body = usage.rstrip()
        comma = b"" if body[1:-1].strip() == b"" else b","
        return body[:-1] + comma + b'"tool_usage":%b}' % bytes(self.tool_usage)

    @property
    def failure(self) -> bytes | None:
        """Return the error of a response that failed or was cancelled, else None."""
        if (error := value_bytes(self.error)) is not None:
            return error
        return b"{}" if self.status in FAILED else None

    @property
    def reason(self) -> str:
        """Return why the response is incomplete, "" if unknown."""
        return text_of(members_of(self.incomplete_details), "reason")


_decode_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode


def items_of(raw: msgspec.Raw) -> list[msgspec.Raw] | None:
    """Return the members of a raw array; None for anything else."""
    try:
        return _decode_raws(raw)
    except NOT_JSON:
        return None


def text_of(members: dict[str, Any], name: str) -> str:
    """Return a text member, "" for anything else."""
    value = members.get(name)
    return value if isinstance(value, str) else ""


def _read_loosely(data: bytes, kind: type[_T]) -> _T:
    """Read valid JSON of unexpected types: keep what can be understood, ignore the rest."""
    top = top_members(data)
    known: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        raw = top.get(field.encode_name)
        if raw is None:
            continue
        value = raw if field.type is msgspec.Raw else _value(raw, field.type)
        if value is not None:
            known[field.name] = value
    return kind(**known)


def _value(raw: msgspec.Raw, wanted: Any) -> Any:
    try:
        value = msgspec.json.decode(raw)
    except NOT_JSON:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if wanted in (int, int | None):
        known = isinstance(value, int) and not isinstance(value, bool)
        return value if known and 0 <= value < _INTEGER_MAX else None
    return value if isinstance(value, str) else None


# Parse the data of one event, and a response. They raise ReadFault when it is no JSON object.
read_event = parser(StreamEvent, lambda data: _read_loosely(data, StreamEvent))
read_response = parser(Response, lambda data: _read_loosely(data, Response))
