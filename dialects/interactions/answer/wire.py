"""The members of an interactions answer that are read, for whole and streamed answers. The parser
skips all other members. A text that does not match these structs is parsed again, more slowly, and
converted.
"""

from typing import Any, TypeVar

import msgspec

from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import (
    ABSENT,
    as_text,
    members_of,
    parser,
    top_members,
    value_bytes,
    value_of,
)

_T = TypeVar("_T", "Interaction", "Delta")


class StreamEvent(msgspec.Struct, gc=False):
    """One event of a stream. `step` and `delta` belong to the step at `index`."""

    event_type: str = ""
    index: int = 0
    step: msgspec.Raw = ABSENT
    delta: msgspec.Raw = ABSENT
    interaction: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class Interaction(msgspec.Struct, gc=False):
    """A whole interaction, or the part of it that begins and ends a stream."""

    id: str = ""
    model: str = ""
    status: str = ""
    created: str = ""
    service_tier: str = ""
    steps: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    errors: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT

    @property
    def failure(self) -> bytes | None:
        """Return the error of an interaction that failed, else None."""
        if (error := value_bytes(self.error)) is not None:
            return error
        if self.status not in ("failed", "cancelled"):
            return None
        rows = value_of(self.errors) if value_bytes(self.errors) is not None else None
        return msgspec.json.encode(rows[0]) if isinstance(rows, list) and rows else b"{}"

    @property
    def is_filtered(self) -> bool:
        """Whether a filter stopped the answer."""
        return b'"content_filter"' in bytes(self.errors)


class Delta(msgspec.Struct, gc=False):
    """The addition of a step.delta."""

    type: str = ""
    text: str | None = None
    signature: str | None = None
    mime_type: str | None = None
    data: str | None = None
    uri: str | None = None
    content: msgspec.Raw = ABSENT
    arguments: msgspec.Raw = ABSENT
    annotations: msgspec.Raw = ABSENT


def _loose_event(data: bytes) -> StreamEvent:
    """Read valid JSON of unexpected types: keep what can be understood, ignore the rest."""
    top = top_members(data)
    index = value_of(top.get("index"))
    return StreamEvent(
        event_type=as_text(value_of(top.get("event_type"))),
        index=index if isinstance(index, int) and 0 <= index < 2**31 else 0,
        **{name: top[name] for name in ("step", "delta", "interaction", "error") if name in top},
    )


def _loose_interaction(data: bytes) -> Interaction:
    return _loosely(Interaction, data)


def _loose_delta(data: bytes) -> Delta:
    return _loosely(Delta, data)


def _loosely(kind: type[_T], data: bytes) -> _T:
    """Read the raw members, and those that are texts; ignore the rest."""
    top = top_members(data)
    known: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        raw = top.get(field.encode_name)
        if raw is None:
            continue
        value = raw if field.type is msgspec.Raw else value_of(raw)
        if value is raw or isinstance(value, str):
            known[field.name] = value
    return kind(**known)


# These functions raise ReadFault when the text is not a JSON object.
read_event = parser(StreamEvent, _loose_event)
read_interaction = parser(Interaction, _loose_interaction)
read_delta = parser(Delta, _loose_delta)


def raw_steps(raw: msgspec.Raw) -> list[msgspec.Raw] | None:
    """Return the steps of an interaction; None for anything else."""
    try:
        return msgspec.json.decode(raw, type=list[msgspec.Raw])
    except NOT_JSON:
        return None


def text_of_content(raw: msgspec.Raw) -> str:
    """Return the text of a content."""
    return as_text(members_of(raw).get("text"))
