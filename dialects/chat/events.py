"""The neutral events of a streamed answer.

Decoders of all dialects return these events, encoders accept them, and the relay meters them.
`is_content` marks the commit point: nothing from an upstream reaches the client before its first
content event, so role-only chunks, comments and keep-alives have no content event.

Every translating decoder guarantees, and every encoder may rely on:

    Start                 first and once
    per choice            deltas in the order of the answer; a change of kind closes the open one
      ReasoningSeal       closes the reasoning before it, or an empty one. A seal that the wire
                          attaches to a tool call comes right before that call
      ToolCallStart       `index` counts 0, 1, 2 ... in its choice; several calls may be open
      ToolCallEnd         once per call, at the latest right before Finish; never for a call that
                          the length limit has cut (F38)
      Citation            after the text it is about, if the wire sends it by then
      Finish              once; only Usage, Citation and End may follow
    Usage                 any number, cumulative
    End | UpstreamError | Broken      last and once

If the upstream cut a text inside a character, the text contains marks, which
`surrogate_pairs.Pairs` joins.

A decoder that does not translate (for a forwarded stream) omits Start, ToolCallEnd, ReasoningSeal,
Citation, LogprobsDelta and the counts of Usage, which nobody would read, and returns OpaqueDelta
for media.
"""

from typing import ClassVar, Literal

import msgspec

from dialects.errors.kinds import ErrorKind
from dialects.usage.usage import Counts

FinishReason = Literal["stop", "stop_sequence", "length", "tool_calls", "content_filter", "pause"]
BrokenFault = Literal["F14", "F15", "F16", "F17", "F24"]
SealOwner = Literal["anthropic", "openai", "gemini"]


class Seal(msgspec.Struct, frozen=True):
    """A provider's proof of its reasoning, which must be sent back to that provider unchanged.

    anthropic: `signature` of a thinking block, or with `redacted` the `data` of a redacted one.
    openai: `encrypted_content` of a reasoning item, whose id is `id`. gemini: `thoughtSignature`.
    """

    owner: SealOwner
    value: str
    redacted: bool = False
    id: str = ""


class Source(msgspec.Struct, frozen=True):
    """The source of a citation. `start` and `end` are positions in the joined text of the choice
    (or message), in characters, end exclusive; None if the wire has none (Grok; in Anthropic they
    are the text block's). `quote` is the cited words of the source, "" if unknown."""

    url: str
    title: str = ""
    start: int | None = None
    end: int | None = None
    quote: str = ""


class TopLogprob(msgspec.Struct, frozen=True):
    """One of the most likely texts at a position. `bytes` is its UTF-8, None if unknown."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None


class TokenLogprob(msgspec.Struct, frozen=True):
    """The text at a position, its likelihood (natural logarithm), and the most likely
    alternatives.
    """

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top: tuple[TopLogprob, ...] = ()


class Event(msgspec.Struct, frozen=True, gc=False):
    """The content of one piece of an answer."""

    is_content: ClassVar[bool] = False


class Start(Event, frozen=True, gc=False):
    """The answer begins, with the upstream's id, model and time, "" and 0 if unknown. `created` is
    Unix seconds.
    """

    id: str
    model: str
    created: int = 0
    service_tier: str = ""
    fingerprint: str = ""


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


class ReasoningSeal(Event, frozen=True, gc=False):
    """The seal of the preceding reasoning. It counts as content, because a client must not lose
    it."""

    is_content: ClassVar[bool] = True
    choice: int
    seal: Seal


class RefusalDelta(Event, frozen=True, gc=False):
    """A piece of a refusal in words."""

    is_content: ClassVar[bool] = True
    choice: int
    text: str


class ToolCallStart(Event, frozen=True, gc=False):
    """A tool call begins; `index` counts the calls of its choice, `id` is "" if none was sent."""

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


class ToolCallEnd(Event, frozen=True, gc=False):
    """The arguments of a tool call are complete."""

    choice: int
    index: int


class ImageOutput(Event, frozen=True, gc=False):
    """A whole picture: base64 `data` with its `media_type`, or a `url`; the other is ""."""

    is_content: ClassVar[bool] = True
    choice: int
    media_type: str
    data: str
    url: str = ""


class AudioDelta(Event, frozen=True, gc=False):
    """A piece of a spoken answer: base64 `data`, words in `transcript`; either may be "".
    `media_type` is the type of the whole sound; `id` is its name for a later turn until
    `expires_at` (Unix seconds), "" and 0 if the upstream sends none. Each piece of `data` is
    separate base64."""

    is_content: ClassVar[bool] = True
    choice: int
    media_type: str
    data: str
    transcript: str = ""
    id: str = ""
    expires_at: int = 0


class OpaqueDelta(Event, frozen=True, gc=False):
    """Content without a text form, such as audio: its JSON, unchanged."""

    is_content: ClassVar[bool] = True
    choice: int
    raw: bytes


class Citation(Event, frozen=True, gc=False):
    """The answer cites a source."""

    choice: int
    source: Source


class LogprobsDelta(Event, frozen=True, gc=False):
    """Likelihoods of the next pieces of text, or of the refusal."""

    choice: int
    tokens: tuple[TokenLogprob, ...]
    refusal: bool = False


class Finish(Event, frozen=True, gc=False):
    """A choice has ended. Sent once per choice; a second reason is ignored (F30). `stop_sequence`
    is the stop text that was reached, "" if none or unknown.
    """

    choice: int
    reason: FinishReason
    stop_sequence: str = ""


class Usage(Event, frozen=True, gc=False):
    """The upstream's count as raw JSON. It is cumulative: the last count is valid, never the sum
    (F26). `counts` is the same in neutral form, None from a decoder that does not translate."""

    raw: bytes
    counts: Counts | None = None


class UpstreamError(Event, frozen=True, gc=False):
    """The upstream reports a failure inside its answer (F23). `message` can be shown as it is."""

    kind: ErrorKind
    message: str
    code: str | None


class Broken(Event, frozen=True, gc=False):
    """The rest of the answer is unreadable; it is the last event. `fault` is a row of the fault
    table.
    """

    fault: BrokenFault


class End(Event, frozen=True, gc=False):
    """The answer is complete. `marked` is false if the upstream sent no end marker."""

    marked: bool


class Step(msgspec.Struct, frozen=True, gc=False):
    """One frame: the bytes for a client of the same dialect (b"" for none), and its events."""

    raw: bytes
    events: list[Event]
