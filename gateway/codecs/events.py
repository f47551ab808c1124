"""The waist between dialects: what a streamed answer says, in neutral words.

A decoder of any dialect gives these events, an encoder takes them, and the relay meters them.
`is_content` marks the commit point: nothing of an upstream reaches the client before its first
content event, so role-only chunks, comments and keep-alives carry no event at all.
"""

from typing import ClassVar, Literal

import msgspec

from gateway.codecs.errors import ErrorKind

FinishReason = Literal["stop", "stop_sequence", "length", "tool_calls", "content_filter", "pause"]
BrokenFault = Literal["F14", "F15", "F16", "F17", "F24"]


class Event(msgspec.Struct, frozen=True, gc=False):
    """What one piece of an answer says."""

    is_content: ClassVar[bool] = False


class TextDelta(Event, frozen=True, gc=False):
    """A piece of the visible answer."""

    is_content: ClassVar[bool] = True
    choice: int
    text: str


class ReasoningDelta(Event, frozen=True, gc=False):
    """A piece of the model's reasoning."""

    is_content: ClassVar[bool] = True
    choice: int
    text: str


class RefusalDelta(Event, frozen=True, gc=False):
    """A piece of a refusal in words."""

    is_content: ClassVar[bool] = True
    choice: int
    text: str


class ToolCallStart(Event, frozen=True, gc=False):
    """A tool call opens; `index` counts the calls of its choice, `id` is "" when none was sent."""

    is_content: ClassVar[bool] = True
    choice: int
    index: int
    id: str
    name: str


class ToolArgumentsDelta(Event, frozen=True, gc=False):
    """A piece of the JSON text of a tool call's arguments."""

    is_content: ClassVar[bool] = True
    choice: int
    index: int
    text: str


class OpaqueDelta(Event, frozen=True, gc=False):
    """Content that no text can stand for, such as audio: its JSON as it came."""

    is_content: ClassVar[bool] = True
    choice: int
    raw: bytes


class Finish(Event, frozen=True, gc=False):
    """A choice has ended. Sent once per choice; a second reason is ignored (F30)."""

    choice: int
    reason: FinishReason


class Usage(Event, frozen=True, gc=False):
    """The upstream's count as raw JSON. Cumulative: the last one counts, never the sum (F26)."""

    raw: bytes


class UpstreamError(Event, frozen=True, gc=False):
    """The upstream says inside its answer that it failed (F23). `message` is ready to be shown."""

    kind: ErrorKind
    message: str
    code: str | None


class Broken(Event, frozen=True, gc=False):
    """The answer cannot be read on; it is the last event. `fault` is a row of the fault table."""

    fault: BrokenFault


class End(Event, frozen=True, gc=False):
    """The answer is complete. `marked` is false when the upstream left out its end marker."""

    marked: bool
