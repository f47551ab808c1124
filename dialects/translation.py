"""Translate a chat request, its answer and its errors from one dialect into another.

    translate(raw, client, upstream, model) -> Translation
        .body, .dropped          the body to send, and what the upstream's dialect cannot express
        .answer(raw)             a whole answer, for the client
        .stream()                a streamed answer: feed it bytes, send on what it returns
        .read_error(...)         an error response of the upstream
    write_error(client, error)   any error, as a response of the client's dialect

All exceptions are subclasses of one:

    DialectError
    ├── RequestFault    the request is invalid, or the upstream's dialect cannot express it
    ├── AnswerFault     the upstream's answer is an error, or cannot be read; see its `event`
    └── ReadFault       a text is not a JSON object; decoders turn it into an AnswerFault

This module reads no clock and no random numbers: the ids and times of an answer are derived from
the caller's `request_id` and `received_at`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final, Protocol

import msgspec

from dialects.chat.chat import ChatRequest, Dialect, Encoded, Upstream
from dialects.chat.events import Broken, End, Event, Finish, Start, Step, TextDelta, UpstreamError
from dialects.chat.fold import AnswerFault
from dialects.chat.tool_names import fit_names, restore_names
from dialects.codec import Codec, Counting, Decoder, Encoder, Target
from dialects.endpoints.codecs import CODECS
from dialects.errors.errors import KINDS, DialectError, RequestFault, message_of
from dialects.errors.kinds import ErrorKind
from dialects.streams.json_repair import repair
from dialects.streams.splice import AroundText, PassText, Splice, WrittenStep
from dialects.streams.stream import FrameDecoder, StepDecoder
from dialects.streams.surrogate_pairs import Pairs
from dialects.upstream_errors.upstream_errors import UpstreamFault
from dialects.usage.usage import Quantities

__all__ = [
    "AnswerFault",
    "Dialect",
    "DialectError",
    "RequestFault",
    "StreamTranslator",
    "Target",
    "TranslatedStream",
    "Translation",
    "Upstream",
    "translate",
    "write_error",
]

_CUT: Final = ("F14", "F24")


def translate(
    raw: bytes,
    client: Dialect,
    upstream: Dialect,
    model: str | Upstream,
    *,
    target: Target | None = None,
    request_id: str = "",
    received_at: int = 0,
) -> "Translation":
    """Translate a request. `model` is the upstream's name for the model, or an `Upstream` that also
    describes how the model differs from its dialect. `target` is the content of a gemini client's
    path. Answers repeat `received_at` (Unix seconds) as their time; without a `request_id` their
    ids are derived from the request itself. Raises RequestFault.
    """
    reader, target = _codec(client), target or Target()
    if upstream not in CODECS:
        raise _unknown(upstream, CODECS)
    writer = CODECS[upstream]
    facts = reader.read(raw, target)
    request_id = request_id or sha256(raw).hexdigest()
    request = reader.decode(facts, target, request_id, received_at)
    fitting, names = fit_names(request, writer.tool_name_max)
    encoded = writer.encode(fitting, Upstream(model) if isinstance(model, str) else model)
    undecoded = reader.undecoded_fields(facts)
    return Translation(reader, writer, target, request, encoded, undecoded, names)


@dataclass(frozen=True, slots=True)
class Translation:
    """A request in the upstream's dialect, and the translation of its answers."""

    client: Codec[Any]
    upstream: Codec[Any]
    target: Target
    request: ChatRequest
    encoded: Encoded
    undecoded: tuple[str, ...] = field(default=())
    # The client's names of tools, by those that the upstream was sent instead.
    tool_names: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """The body to send to the upstream."""
        return self.encoded.body

    @property
    def dropped(self) -> tuple[str, ...]:
        """Parameters without a counterpart in the upstream's dialect, by the client's names."""
        return (*self.undecoded, *self.encoded.dropped)

    def answer(self, raw: bytes) -> bytes:
        """Translate a whole answer. Raises AnswerFault if the upstream failed."""
        answer_tool = self.encoded.answer_tool
        whole = self.upstream.translate_answer(raw, self.request, answer_tool)
        if whole.broken == "F15" and (repaired := repair(raw)) is not None:
            whole = self.upstream.translate_answer(repaired.read, self.request, answer_tool)
        if self.tool_names:
            events = restore_names(whole.events, self.tool_names)
            whole = msgspec.structs.replace(whole, events=events)
        return self.client.write_answer(whole.fold(), self.request)

    def stream(self) -> "TranslatedStream":
        """Open a streamed answer."""
        decoder = self.upstream.translating_decoder(self.request, self.encoded.answer_tool)
        encoder = self.client.encoder(self.request, self.target)
        translator = StreamTranslator(
            decoder, encoder, self.request.choices or 1, tool_names=self.tool_names
        )
        return TranslatedStream(self.upstream, translator)

    def quantities(self, answer: bytes) -> Quantities:
        """Return the usage of a whole answer of the upstream; for a stream see its `quantities`."""
        answer_tool = self.encoded.answer_tool
        whole = self.upstream.translate_answer(answer, self.request, answer_tool)
        return self.upstream.quantities(whole)

    def read_error(
        self, status: int, headers: Mapping[str, str], body: bytes, now_s: int = 0
    ) -> UpstreamFault:
        """Read a response of the upstream whose status is not 200. Header names are lower-case;
        `now_s` is the time to which a date in `retry-after` is relative."""
        return self.upstream.read_error(status, headers, body, now_s)


class TranslatedStream:
    """A streamed answer on its way to the client. `failure` is None until the upstream reports an
    error or its bytes become unreadable. `feed` and `end` then return the error frames for the
    client.
    """

    __slots__ = ("_translator", "_upstream", "failure")

    def __init__(self, upstream: Codec[Any], translator: "StreamTranslator") -> None:
        self._upstream = upstream
        self._translator = translator
        self.failure: UpstreamError | Broken | None = None

    def feed(self, chunk: bytes) -> bytes:
        """Translate the frames that a chunk completes."""
        return b"".join(self._write(self._translator.feed(chunk)))

    def end(self) -> bytes:
        """Translate the rest after the upstream has closed the connection."""
        return b"".join(self._write(self._translator.end()))

    @property
    def complete(self) -> bool:
        """Whether the answer is complete, so that nothing is lost if the connection breaks now."""
        return self._translator.decoder.complete

    @property
    def quantities(self) -> Quantities:
        """The usage of the answer so far."""
        counting: Counting = self._translator.decoder
        return self._upstream.quantities(counting)

    def _write(self, steps: list[Step]) -> Iterator[bytes]:
        for step in steps:
            yield step.raw
            last = step.events[-1] if step.events else None
            if isinstance(last, UpstreamError | Broken):
                self.failure = last
            if isinstance(last, Broken):
                kind = _kind_of(last)
                yield self._translator.fail(kind, message_of(kind))


class Change(Protocol):
    """Changes an answer on its way to the client."""

    def change(self, events: Sequence[Event]) -> tuple[list[Event], list[Event]]:
        """Return the events that the client gets instead of those of the answer, and those that the
        steps have."""

    def passing(self, choice: int) -> tuple[PassText, PassText] | None:
        """Return what changes more of a choice's text until the next `change`, for a `Splice`; None
        if only `change` can."""


class StreamTranslator:
    """Encodes the steps of a decoder in another dialect. The bytes of its steps go to the client. A
    `Broken` event has none: the caller decides whether another upstream answers or `fail` ends the
    stream. `model` replaces the upstream's name of the model, "" keeps it. `source` wraps the
    decoder, None for the decoder itself. `tool_names` are the client's names of tools, by those in
    the answer. `change` changes what the client gets.
    """

    __slots__ = (
        "_around_text", "_change", "_model", "_open_choices", "_pairs", "_source", "_splicing",
        "_tool_names", "decoder", "encoder",
    )  # fmt: skip

    def __init__(
        self,
        decoder: Decoder,
        encoder: Encoder,
        choices: int,
        model: str = "",
        source: StepDecoder | None = None,
        tool_names: Mapping[str, str] = MappingProxyType({}),
        change: Change | None = None,
    ) -> None:
        # Knows whether the answer is complete.
        self.decoder = decoder
        self.encoder = encoder
        self._source = decoder if source is None else source
        self._open_choices = set(range(choices))
        self._pairs = Pairs()
        self._model = model
        self._tool_names = tool_names
        self._change = change
        # Writes texts for the client itself, if it can and the encoder says between which bytes.
        self._splicing: FrameDecoder | None = None
        self._around_text: AroundText | None = getattr(encoder, "around_text", None)
        if isinstance(decoder, FrameDecoder) and decoder.splices and self._source is decoder:
            self._splicing = decoder

    def feed(self, chunk: bytes) -> list[Step]:
        """Return the steps that a chunk completes."""
        steps = self._source.feed(chunk)
        if steps and type(steps[-1]) is WrittenStep:
            # Nearly every chunk of a long answer. No step comes before such a one.
            return steps
        written = list(map(self._write, steps))
        if self._change is not None and steps and steps[-1].events:
            last = steps[-1].events[-1]
            if type(last) is TextDelta:
                self._splice(self._change, last.choice)
        return written

    def end(self) -> list[Step]:
        """Return the remaining steps after the upstream has closed the connection."""
        return [self._write(step) for step in self._source.end()]

    def write(self, events: Sequence[Event]) -> bytes:
        """Return the bytes of events for the client."""
        return b"".join(map(self._encode, events))

    def fail(self, kind: ErrorKind, message: str, guard_code: str | None = None) -> bytes:
        """Return the frames that end the client's stream with an error."""
        return self.encoder.fail(kind, message, guard_code)

    def cut(self) -> bytes:
        """Return the frames that end the client's stream as if it had reached its length (F18)."""
        ends = [
            self.encoder.feed(Finish(choice, "length")) for choice in sorted(self._open_choices)
        ]
        return b"".join(ends) + self.encoder.end()

    def _splice(self, change: Change, choice: int) -> None:
        """Let the decoder write what follows a text of a choice."""
        decoder, around_text = self._splicing, self._around_text
        if decoder is None or around_text is None or self._pairs.waits:
            return
        around = around_text(choice)
        passing = None if around is None else change.passing(choice)
        if around is not None and passing is not None:
            decoder.splice(Splice(choice, *around, *passing))

    def _write(self, step: Step) -> Step:
        if type(step) is WrittenStep:
            return step
        events = self._pairs.join(step.events)
        if self._tool_names:
            events = restore_names(events, self._tool_names)
        shown: Sequence[Event] = events
        if self._change is not None:
            shown, events = self._change.change(events)
        if len(shown) == 1 and type(shown[0]) is TextDelta:
            # Nearly every step of a long answer.
            return Step(self.encoder.feed(shown[0]), events)
        return Step(self.write(shown), events)

    def _encode(self, event: Event) -> bytes:
        if type(event) is TextDelta:
            return self.encoder.feed(event)
        if isinstance(event, End):
            return self.encoder.end()
        if isinstance(event, UpstreamError):
            return self.encoder.fail(event.kind, event.message)
        if isinstance(event, Start) and self._model:
            event = msgspec.structs.replace(event, model=self._model)
        elif isinstance(event, Finish):
            self._open_choices.discard(event.choice)
        return self.encoder.feed(event)


def write_error(
    client: Dialect,
    error: RequestFault | AnswerFault | UpstreamFault,
    *,
    target: Target | None = None,
    request_id: str = "",
) -> tuple[int, bytes]:
    """Return the status and body of an error response in the client's dialect."""
    codec = _codec(client)
    status, wait_ms, param, code = 0, None, None, None
    if isinstance(error, AnswerFault):
        event = error.event
        kind = _kind_of(event)
        message = message_of(kind) if isinstance(event, Broken) else event.message
        code = None if isinstance(event, Broken) else event.code
    else:
        kind, message, param = error.kind, error.message, error.param
        if isinstance(error, UpstreamFault):
            status, wait_ms, code = error.status, error.retry_after_ms, error.code
    body = codec.render(
        kind,
        message,
        param=param,
        code=code,
        request_id=request_id,
        wait_ms=wait_ms,
        target=target or Target(),
    )
    return codec.status(kind, status or KINDS[kind].status), body


def _kind_of(event: UpstreamError | Broken) -> ErrorKind:
    """Return the kind of a failed answer's error for the client."""
    if isinstance(event, UpstreamError):
        return event.kind
    return "upstream_truncated" if event.fault in _CUT else "upstream_malformed"


def _codec(dialect: Dialect) -> Codec[Any]:
    """Return the codec of a dialect. Raises ValueError for an unknown name."""
    if dialect not in CODECS:
        raise _unknown(dialect, CODECS)
    return CODECS[dialect]


def _unknown(dialect: str, known: Iterable[str]) -> ValueError:
    return ValueError(f"unknown dialect {dialect!r}: use one of {', '.join(known)}")
