"""The four chat dialects as one table: what the relay asks of a codec, whichever it is.

    client's dialect    read, edit, decode      write_answer, encoder      render, frame, headers
    upstream's dialect  encode, fetched_urls    read_answer, decoder       read_error, quantities

Where both are the same, bytes go through: `edit` changes single members of the body, and the
upstream's own frames are forwarded. Where they differ, the request is decoded once and encoded for
every attempt, and the events of the answer are encoded for the client.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from dialects.anthropic import errors as anthropic_errors
from dialects.anthropic import history as anthropic_history
from dialects.anthropic import request as anthropic_request
from dialects.anthropic import response as anthropic_response
from dialects.anthropic import stream as anthropic_stream
from dialects.anthropic import usage as anthropic_usage
from dialects.body import NO_QUIRKS, Body, Quirks
from dialects.chat import (
    ChatAnswer,
    ChatRequest,
    Dialect,
    Encoded,
    Flag,
    JsonObject,
    ReasoningSettings,
    Upstream,
)
from dialects.errors import KINDS, ErrorKind
from dialects.events import BrokenFault, Event, Step, UpstreamError
from dialects.faults import UpstreamFault
from dialects.gemini import errors as gemini_errors
from dialects.gemini import history as gemini_history
from dialects.gemini import request as gemini_request
from dialects.gemini import response as gemini_response
from dialects.gemini import stream as gemini_stream
from dialects.gemini import thinking as gemini_thinking
from dialects.gemini import usage as gemini_usage
from dialects.media import audio_type
from dialects.openai import errors as openai_errors
from dialects.openai import quirks as openai_quirks
from dialects.openai import request as openai_request
from dialects.openai import response as openai_response
from dialects.openai import stream as openai_stream
from dialects.openai import usage as openai_usage
from dialects.operation import NO_NEEDS, Needs, Operation, chat_operation
from dialects.raws import dicts, members_of, value_of
from dialects.responses import errors as responses_errors
from dialects.responses import quirks as responses_quirks
from dialects.responses import request as responses_request
from dialects.responses import response as responses_response
from dialects.responses import stream as responses_stream
from dialects.responses import usage as responses_usage
from dialects.usage import Quantities

EVENT_STREAM: Final = "text/event-stream"
JSON: Final = "application/json"
# Where nobody bounds the searches of a request, that many are held for; what is above is not the
# customer's (I13).
SEARCHES_ASSUMED: Final = 10
# How many sources xAI's live search uses where nothing is said (docs.x.ai, 2025-10).
LIVE_SOURCES_ASSUMED: Final = 20
_COMMENT: Final = b": ping\n\n"


class Facts(Protocol):
    """What must be known of a chat request before it is routed, held and sent; see the `ChatFacts`
    of each dialect."""

    @property
    def body(self) -> Body: ...
    @property
    def model(self) -> str: ...
    @property
    def stream(self) -> bool: ...
    @property
    def output_cap(self) -> int | None: ...
    @property
    def choices(self) -> int: ...
    @property
    def user(self) -> str: ...
    @property
    def text_bytes(self) -> int: ...
    @property
    def media(self) -> Mapping[Any, int]: ...
    @property
    def audio_asked(self) -> bool: ...
    @property
    def max_cost_nano(self) -> int | None: ...


class Target(NamedTuple):
    """What the path of a request says beside its body: only gemini's names model and stream there.
    Of a path that names another thing, `model` is that name.

    `array`: the stream is one JSON array and no events.
    """

    model: str = ""
    stream: bool = False
    array: bool = False


class Counting(Protocol):
    """What an answer, whole or so far, has told of its size."""

    @property
    def usage(self) -> bytes | None: ...
    @property
    def text_bytes(self) -> int: ...
    @property
    def reasoning_bytes(self) -> int: ...


class WholeAnswer(Counting, Protocol):
    """A whole answer as its dialect reads it; with `error` or `broken` it is no success."""

    @property
    def events(self) -> list[Event]: ...
    @property
    def error(self) -> UpstreamError | None: ...
    @property
    def broken(self) -> BrokenFault | None: ...


class Decoder(Counting, Protocol):
    """A streamed answer while it is read; `complete` says that a cut would be no fault."""

    @property
    def complete(self) -> bool: ...
    def feed(self, chunk: bytes) -> list[Step]:
        """What is whole now."""

    def end(self) -> list[Step]:
        """The upstream has closed."""


class Encoder(Protocol):
    """A streamed answer while it is written."""

    def feed(self, event: Event) -> bytes:
        """The frames of an event."""

    def end(self) -> bytes:
        """What ends a complete answer."""

    def fail(self, kind: ErrorKind, message: str) -> bytes:
        """What ends an answer that has failed."""


F = TypeVar("F", bound=Facts)


class Codec(ABC, Generic[F]):
    """One dialect. Everything that reads a client's bytes may raise RequestFault.

    `ping` keeps a silent stream open. `names_request`: the dialect has a header for a request's id.
    `model_in_answer` and `model_in_frame` lead to the member that names the model.
    """

    name: ClassVar[Dialect]
    names_request: ClassVar[bool] = False
    ping: ClassVar[bytes] = _COMMENT
    model_in_answer: ClassVar[tuple[str, ...]] = ("model",)
    model_in_frame: ClassVar[tuple[str, ...]] = ("model",)

    # ---- requests

    @abstractmethod
    def read(self, raw: bytes, target: Target) -> F:
        """What the gateway itself must know of a client's request."""

    @abstractmethod
    def edit(
        self,
        facts: F,
        model: str,
        output_cap: int | None,
        thinking: JsonObject | None,
        quirks: Quirks,
    ) -> bytes:
        """The client's bytes for an upstream of the same dialect."""

    @abstractmethod
    def decode(self, facts: F, target: Target, request_id: str, received_at: int) -> ChatRequest:
        """The request in neutral words."""

    @abstractmethod
    def encode(self, request: ChatRequest, upstream: Upstream) -> Encoded:
        """The body for an upstream of this dialect."""

    @abstractmethod
    def fetched_urls(self, request: ChatRequest) -> tuple[str, ...]:
        """The addresses of a request that an upstream of this dialect does not read itself."""

    def needs(self, facts: F) -> Needs:
        """What of a request that has not been decoded decides where it goes."""
        return NO_NEEDS

    def thinking(self, settings: ReasoningSettings, upstream: Upstream) -> JsonObject | None:
        """How `edit` is told what a model's suffix asks for; None where it cannot be."""
        return None

    def unseen_input(self, facts: F) -> bool:
        """Whether the model will read more than stands in the body."""
        return False

    def concerned(self, facts: F, flags: frozenset[Flag]) -> bool:
        """Whether a model's flags may change a request that goes on as it came."""
        return False

    def fit(self, facts: F, upstream: Upstream, thoughts: Mapping[str, str]) -> Quirks:
        """What they change; `thoughts` is the known reasoning of `bare_calls`. Raises
        RequestFault."""
        return NO_QUIRKS

    def bare_calls(self, facts: F) -> list[str]:
        """The ids of earlier tool calls that are shown without the reasoning that led to them."""
        return []

    def turn_of(self, facts: F) -> responses_request.ChatFacts | None:
        """The facts of a request that may go on from one before it; None where none can."""
        return None

    def response_of(self, teller: Any) -> bytes | None:
        """The whole answer that a decoder or encoder of this dialect has told as a stream; None
        where a dialect tells none, or it was cut."""
        return None

    def searches_max(self, facts: F) -> int:
        """A bound of the web searches that the provider may make and bill for the request."""
        return 0

    def undecoded(self, facts: F) -> tuple[str, ...]:
        """The parameters that `decode` leaves out; where it keeps all, the encoder says it."""
        return ()

    def operation(self, target: Target, *, stream: bool) -> Operation | None:
        """What a request of this dialect is at a provider that gets it as it came; None where no
        provider does."""
        return chat_operation(self.name, stream=stream)

    def content_type(self, target: Target, *, stream: bool) -> str:
        """The kind of content of an answer."""
        return EVENT_STREAM if stream else JSON

    # ---- answers

    @abstractmethod
    def read_answer(self, raw: bytes) -> WholeAnswer:
        """A whole answer that goes on as it came."""

    @abstractmethod
    def translate_answer(self, raw: bytes, request: ChatRequest, answer_tool: str) -> WholeAnswer:
        """A whole answer, with all that an encoder needs."""

    @abstractmethod
    def write_answer(self, answer: ChatAnswer, request: ChatRequest) -> bytes:
        """A whole answer for the client."""

    @abstractmethod
    def decoder(self, facts: F, target: Target) -> Decoder:
        """Reads a stream that goes on as it came."""

    @abstractmethod
    def translating_decoder(self, request: ChatRequest, answer_tool: str) -> Decoder:
        """Reads a stream for an encoder."""

    @abstractmethod
    def encoder(self, request: ChatRequest, target: Target) -> Encoder:
        """Writes a stream for the client."""

    def fail(self, decoder: Any, kind: ErrorKind, message: str, request_id: str) -> bytes:
        """What ends a forwarded stream that fails; `decoder` is the one of `decoder`."""
        told: bytes = decoder.fail(kind, message)
        return told

    def cut(self, decoder: Any) -> bytes:
        """What ends a forwarded stream as if it had reached its length (F18)."""
        told: bytes = decoder.length_notice()
        return told

    @abstractmethod
    def quantities(self, told: Any) -> Quantities:
        """What an answer of this dialect says it used; `told` is a Counting of it."""

    # ---- errors

    @abstractmethod
    def render(
        self,
        kind: ErrorKind,
        message: str,
        *,
        param: str | None,
        code: str | None,
        request_id: str,
        wait_ms: int | None,
        target: Target,
    ) -> bytes:
        """The body of an error response."""

    @abstractmethod
    def frame(self, kind: ErrorKind, message: str, request_id: str, target: Target) -> bytes:
        """The same as the only frame of a stream that has begun without any content."""

    def status(self, kind: ErrorKind, status: int) -> int:
        """By which status a client is told of a kind whose neutral status this is."""
        return status

    def headers(self, status: int, request_id: str, wait_ms: int | None) -> dict[str, str]:
        """What the headers of an error response say in this dialect."""
        if wait_ms is None:
            return {}
        told = {"retry-after": str(max(1, -(-wait_ms // 1_000)))}
        return told | {"retry-after-ms": str(wait_ms)} if status == 429 else told

    @abstractmethod
    def read_error(
        self, status: int, headers: Mapping[str, str], body: bytes, now_s: int
    ) -> UpstreamFault:
        """An upstream's answer whose status is not 200; header names are lower-case."""

    @abstractmethod
    def read_error_object(self, error: bytes) -> UpstreamFault:
        """An upstream's error inside a 200 (F23)."""


class OpenAICodec(Codec[F]):
    """What the endpoints of the openai dialect share: its upstreams, its errors, its usage."""

    name = "openai"

    def encode(self, request: ChatRequest, upstream: Upstream) -> Encoded:
        return openai_request.encode(request, upstream)

    def fetched_urls(self, request: ChatRequest) -> tuple[str, ...]:
        return openai_request.fetched_urls(request)

    def read_answer(self, raw: bytes) -> WholeAnswer:
        return openai_response.read(raw)

    def translate_answer(self, raw: bytes, request: ChatRequest, answer_tool: str) -> WholeAnswer:
        asked = "" if request.audio is None else request.audio.format
        return openai_response.read(raw, translate=True, audio_type=audio_type(asked or "wav"))

    def write_answer(self, answer: ChatAnswer, request: ChatRequest) -> bytes:
        return openai_response.encode(answer, request)

    def translating_decoder(self, request: ChatRequest, answer_tool: str) -> Decoder:
        return openai_stream.Decoder(usage_asked=True, choices=request.choices or 1, translate=True)

    def encoder(self, request: ChatRequest, target: Target) -> Encoder:
        return openai_stream.Encoder(request)

    def fail(self, decoder: Any, kind: ErrorKind, message: str, request_id: str) -> bytes:
        return openai_errors.frame(kind, message)

    def cut(self, decoder: Any) -> bytes:
        return _OPENAI_LENGTH + openai_stream.DONE_FRAME

    def quantities(self, told: Any) -> Quantities:
        return openai_usage.quantities(told.usage)

    def render(
        self,
        kind: ErrorKind,
        message: str,
        *,
        param: str | None,
        code: str | None,
        request_id: str,
        wait_ms: int | None,
        target: Target,
    ) -> bytes:
        return openai_errors.render(kind, message, param=param, code=code, request_id=request_id)

    def frame(self, kind: ErrorKind, message: str, request_id: str, target: Target) -> bytes:
        return openai_errors.frame(kind, message)

    def read_error(
        self, status: int, headers: Mapping[str, str], body: bytes, now_s: int
    ) -> UpstreamFault:
        return openai_errors.read(status, headers, body, now_s=now_s)

    def read_error_object(self, error: bytes) -> UpstreamFault:
        return openai_errors.read_object(error)


class _OpenAI(OpenAICodec[openai_request.ChatFacts]):
    def read(self, raw: bytes, target: Target) -> openai_request.ChatFacts:
        return openai_request.read(raw)

    def edit(
        self,
        facts: openai_request.ChatFacts,
        model: str,
        output_cap: int | None,
        thinking: JsonObject | None,
        quirks: Quirks,
    ) -> bytes:
        if thinking:
            quirks = _with_edits(quirks, thinking)
        return openai_request.edit(facts, model, output_cap=output_cap, quirks=quirks)

    def thinking(self, settings: ReasoningSettings, upstream: Upstream) -> JsonObject | None:
        return {"reasoning_effort": settings.effort} if _only_effort(settings) else None

    def concerned(self, facts: openai_request.ChatFacts, flags: frozenset[Flag]) -> bool:
        return openai_quirks.concern(facts.body, flags)

    def fit(
        self, facts: openai_request.ChatFacts, upstream: Upstream, thoughts: Mapping[str, str]
    ) -> Quirks:
        return openai_quirks.fit(facts.body, upstream.flags, upstream.efforts, thoughts)

    def bare_calls(self, facts: openai_request.ChatFacts) -> list[str]:
        return openai_quirks.calls_without_reasoning(facts.body)

    def decode(
        self, facts: openai_request.ChatFacts, target: Target, request_id: str, received_at: int
    ) -> ChatRequest:
        return openai_request.decode(facts.body.raw, request_id=request_id, received_at=received_at)

    def needs(self, facts: openai_request.ChatFacts) -> Needs:
        body = facts.body
        effort = value_of(body.value("reasoning_effort"))
        switch = value_of(body.value("thinking"))
        thinks = body.value("enable_thinking") == b"true" or (
            isinstance(switch, dict) and switch.get("type") in ("enabled", "auto")
        )
        own = value_of(body.value("parameters"))
        if isinstance(own, dict):
            thinks = thinks or own.get("enable_thinking") is True
        return Needs(
            files="file" in facts.media,
            tools=body.value("tools") not in (None, b"[]"),
            effort=effort if isinstance(effort, str) else None,  # type: ignore[arg-type]
            search=body.value("web_search_options") is not None,
            audio_output=facts.audio_asked,
            thinks=True if thinks else None,
        )

    def searches_max(self, facts: openai_request.ChatFacts) -> int:
        body = facts.body
        if body.members.keys().isdisjoint(_SEARCH_MEMBERS):
            return 0
        # A model with search looks once for each choice.
        most = facts.choices if body.value("web_search_options") is not None else 0
        if (live := body.value("search_parameters")) is not None:
            asked = members_of(live)
            told = asked.get("max_search_results")
            most += 0 if asked.get("mode") == "off" else _searches(told, LIVE_SOURCES_ASSUMED)
        own = members_of(body.value("parameters"))
        if own.get("enable_search") or body.value("enable_search") == b"true":
            most += SEARCHES_ASSUMED
        # Those of GLM and Kimi.
        return most + SEARCHES_ASSUMED * (b"web_search" in (body.value("tools") or b""))

    def decoder(self, facts: openai_request.ChatFacts, target: Target) -> Decoder:
        return openai_stream.Decoder(usage_asked=facts.usage_asked, choices=facts.choices)


class ResponsesCodec(Codec[responses_request.ChatFacts]):
    """The responses dialect."""

    name = "responses"
    model_in_frame = ("response", "model")

    def read(self, raw: bytes, target: Target) -> responses_request.ChatFacts:
        return responses_request.read(raw)

    def edit(
        self,
        facts: responses_request.ChatFacts,
        model: str,
        output_cap: int | None,
        thinking: JsonObject | None,
        quirks: Quirks,
    ) -> bytes:
        if thinking:
            asked = members_of(facts.body.value("reasoning"))
            quirks = _with_edits(quirks, {"reasoning": asked | thinking})
        return responses_request.edit(facts, model, output_cap=output_cap, quirks=quirks)

    def thinking(self, settings: ReasoningSettings, upstream: Upstream) -> JsonObject | None:
        return {"effort": settings.effort} if _only_effort(settings) else None

    def concerned(self, facts: responses_request.ChatFacts, flags: frozenset[Flag]) -> bool:
        return responses_quirks.concern(flags)

    def fit(
        self, facts: responses_request.ChatFacts, upstream: Upstream, thoughts: Mapping[str, str]
    ) -> Quirks:
        return responses_quirks.fit(facts.body, upstream.flags, upstream.efforts)

    def decode(
        self, facts: responses_request.ChatFacts, target: Target, request_id: str, received_at: int
    ) -> ChatRequest:
        return responses_request.decode(
            facts.body.raw, request_id=request_id, received_at=received_at
        )

    def encode(self, request: ChatRequest, upstream: Upstream) -> Encoded:
        return responses_request.encode(request, upstream)

    def fetched_urls(self, request: ChatRequest) -> tuple[str, ...]:
        return responses_request.fetched_urls(request)

    def searches_max(self, facts: responses_request.ChatFacts) -> int:
        most = _searches(value_of(facts.body.value("max_tool_calls")))
        return most * len(_search_tools(facts.body))

    def unseen_input(self, facts: responses_request.ChatFacts) -> bool:
        return facts.unseen_input

    def turn_of(self, facts: responses_request.ChatFacts) -> responses_request.ChatFacts:
        return facts

    def response_of(self, teller: Any) -> bytes | None:
        told: JsonObject | bytes | None = teller.response
        return msgspec.json.encode(told) if isinstance(told, dict) else told

    def read_answer(self, raw: bytes) -> WholeAnswer:
        return responses_response.read(raw)

    def translate_answer(self, raw: bytes, request: ChatRequest, answer_tool: str) -> WholeAnswer:
        return responses_response.read(raw, translate=True)

    def write_answer(self, answer: ChatAnswer, request: ChatRequest) -> bytes:
        return responses_response.encode(answer, request)

    def decoder(self, facts: responses_request.ChatFacts, target: Target) -> Decoder:
        return responses_stream.Decoder()

    def translating_decoder(self, request: ChatRequest, answer_tool: str) -> Decoder:
        return responses_stream.Decoder(translate=True)

    def encoder(self, request: ChatRequest, target: Target) -> Encoder:
        return responses_stream.Encoder(request)

    def quantities(self, told: Any) -> Quantities:
        return responses_usage.quantities(told.usage, searches=told.searches)

    def render(
        self,
        kind: ErrorKind,
        message: str,
        *,
        param: str | None,
        code: str | None,
        request_id: str,
        wait_ms: int | None,
        target: Target,
    ) -> bytes:
        return responses_errors.render(kind, message, param=param, code=code, request_id=request_id)

    def frame(self, kind: ErrorKind, message: str, request_id: str, target: Target) -> bytes:
        return responses_errors.frame(kind, message)

    def read_error(
        self, status: int, headers: Mapping[str, str], body: bytes, now_s: int
    ) -> UpstreamFault:
        return responses_errors.read(status, headers, body, now_s=now_s)

    def read_error_object(self, error: bytes) -> UpstreamFault:
        return responses_errors.read_object(error)


class _Anthropic(Codec[anthropic_request.ChatFacts]):
    name = "anthropic"
    names_request = True
    model_in_frame = ("message", "model")
    ping = b'event: ping\ndata: {"type": "ping"}\n\n'

    def read(self, raw: bytes, target: Target) -> anthropic_request.ChatFacts:
        return anthropic_request.read(raw)

    def edit(
        self,
        facts: anthropic_request.ChatFacts,
        model: str,
        output_cap: int | None,
        thinking: JsonObject | None,
        quirks: Quirks,
    ) -> bytes:
        return anthropic_request.edit(facts, model, output_cap=output_cap, quirks=quirks)

    def concerned(self, facts: anthropic_request.ChatFacts, flags: frozenset[Flag]) -> bool:
        return facts.foreign

    def fit(
        self, facts: anthropic_request.ChatFacts, upstream: Upstream, thoughts: Mapping[str, str]
    ) -> Quirks:
        return anthropic_history.fit(facts.body)

    def decode(
        self, facts: anthropic_request.ChatFacts, target: Target, request_id: str, received_at: int
    ) -> ChatRequest:
        return anthropic_request.decode(
            facts.body.raw, request_id=request_id, received_at=received_at
        )

    def encode(self, request: ChatRequest, upstream: Upstream) -> Encoded:
        return anthropic_request.encode(request, upstream)

    def fetched_urls(self, request: ChatRequest) -> tuple[str, ...]:
        return anthropic_request.fetched_urls(request)

    def searches_max(self, facts: anthropic_request.ChatFacts) -> int:
        return sum(_searches(tool.get("max_uses")) for tool in _search_tools(facts.body))

    def read_answer(self, raw: bytes) -> WholeAnswer:
        return anthropic_response.read(raw)

    def translate_answer(self, raw: bytes, request: ChatRequest, answer_tool: str) -> WholeAnswer:
        return anthropic_response.read(raw, translate=True, answer_tool=answer_tool)

    def write_answer(self, answer: ChatAnswer, request: ChatRequest) -> bytes:
        return anthropic_response.encode(answer, request)

    def decoder(self, facts: anthropic_request.ChatFacts, target: Target) -> Decoder:
        return anthropic_stream.Decoder()

    def translating_decoder(self, request: ChatRequest, answer_tool: str) -> Decoder:
        return anthropic_stream.Decoder(translate=True, answer_tool=answer_tool)

    def encoder(self, request: ChatRequest, target: Target) -> Encoder:
        return anthropic_stream.Encoder(request)

    def fail(self, decoder: Any, kind: ErrorKind, message: str, request_id: str) -> bytes:
        return anthropic_errors.frame(kind, message, request_id=request_id)

    def quantities(self, told: Any) -> Quantities:
        return anthropic_usage.quantities(told.usage)

    def render(
        self,
        kind: ErrorKind,
        message: str,
        *,
        param: str | None,
        code: str | None,
        request_id: str,
        wait_ms: int | None,
        target: Target,
    ) -> bytes:
        return anthropic_errors.render(kind, message, request_id=request_id)

    def frame(self, kind: ErrorKind, message: str, request_id: str, target: Target) -> bytes:
        return anthropic_errors.frame(kind, message, request_id=request_id)

    def status(self, kind: ErrorKind, status: int) -> int:
        return anthropic_errors.status_of(kind)

    def headers(self, status: int, request_id: str, wait_ms: int | None) -> dict[str, str]:
        return anthropic_errors.headers(request_id, wait_ms)

    def read_error(
        self, status: int, headers: Mapping[str, str], body: bytes, now_s: int
    ) -> UpstreamFault:
        return anthropic_errors.read(status, headers, body, now_s=now_s)

    def read_error_object(self, error: bytes) -> UpstreamFault:
        return anthropic_errors.read_object(error)


class _Gemini(Codec[gemini_request.ChatFacts]):
    name = "gemini"
    model_in_answer = model_in_frame = ("modelVersion",)

    def read(self, raw: bytes, target: Target) -> gemini_request.ChatFacts:
        return gemini_request.read(raw, model=target.model, stream=target.stream)

    def edit(
        self,
        facts: gemini_request.ChatFacts,
        model: str,
        output_cap: int | None,
        thinking: JsonObject | None,
        quirks: Quirks,
    ) -> bytes:
        return gemini_request.edit(
            facts, model, output_cap=output_cap, thinking=thinking, quirks=quirks
        )

    def concerned(self, facts: gemini_request.ChatFacts, flags: frozenset[Flag]) -> bool:
        return facts.foreign or (facts.calls and gemini_history.WANTS_SEALS in flags)

    def fit(
        self, facts: gemini_request.ChatFacts, upstream: Upstream, thoughts: Mapping[str, str]
    ) -> Quirks:
        return gemini_history.fit(facts.body, upstream.flags)

    def decode(
        self, facts: gemini_request.ChatFacts, target: Target, request_id: str, received_at: int
    ) -> ChatRequest:
        return gemini_request.decode(
            facts.body.raw,
            model=target.model,
            stream=target.stream,
            request_id=request_id,
            received_at=received_at,
        )

    def encode(self, request: ChatRequest, upstream: Upstream) -> Encoded:
        return gemini_request.encode(request, upstream)

    def fetched_urls(self, request: ChatRequest) -> tuple[str, ...]:
        return gemini_request.fetched_urls(request)

    def thinking(self, settings: ReasoningSettings, upstream: Upstream) -> JsonObject | None:
        return gemini_thinking.suffix_thinking(settings, upstream)

    def content_type(self, target: Target, *, stream: bool) -> str:
        return EVENT_STREAM if stream and not target.array else JSON

    def searches_max(self, facts: gemini_request.ChatFacts) -> int:
        named = ("google_search", "googleSearch")
        raw = facts.body.value("tools") or b""
        return SEARCHES_ASSUMED if any(name.encode() in raw for name in named) else 0

    def read_answer(self, raw: bytes) -> WholeAnswer:
        return gemini_response.read(raw)

    def translate_answer(self, raw: bytes, request: ChatRequest, answer_tool: str) -> WholeAnswer:
        return gemini_response.read(raw, translate=True, request_id=request.request_id)

    def write_answer(self, answer: ChatAnswer, request: ChatRequest) -> bytes:
        return gemini_response.encode(answer, request)

    def decoder(self, facts: gemini_request.ChatFacts, target: Target) -> Decoder:
        return gemini_stream.Decoder(choices=facts.choices, array=target.array)

    def translating_decoder(self, request: ChatRequest, answer_tool: str) -> Decoder:
        return gemini_stream.Decoder(
            choices=request.choices or 1, translate=True, request_id=request.request_id
        )

    def encoder(self, request: ChatRequest, target: Target) -> Encoder:
        return gemini_stream.Encoder(request, array=target.array)

    def quantities(self, told: Any) -> Quantities:
        return gemini_usage.quantities(told.usage)

    def render(
        self,
        kind: ErrorKind,
        message: str,
        *,
        param: str | None,
        code: str | None,
        request_id: str,
        wait_ms: int | None,
        target: Target,
    ) -> bytes:
        limited = wait_ms if KINDS[kind].status == 429 else None
        return gemini_errors.render(
            kind, message, retry_after_ms=limited, array=target.array, request_id=request_id
        )

    def frame(self, kind: ErrorKind, message: str, request_id: str, target: Target) -> bytes:
        if target.array:
            return gemini_errors.element(kind, message, first=True)
        return gemini_errors.frame(kind, message)

    def status(self, kind: ErrorKind, status: int) -> int:
        return gemini_errors.status_of(kind)

    def headers(self, status: int, request_id: str, wait_ms: int | None) -> dict[str, str]:
        return {} if wait_ms is None else {"retry-after": str(max(1, -(-wait_ms // 1_000)))}

    def read_error(
        self, status: int, headers: Mapping[str, str], body: bytes, now_s: int
    ) -> UpstreamFault:
        return gemini_errors.read(status, headers, body, now_s=now_s)

    def read_error_object(self, error: bytes) -> UpstreamFault:
        return gemini_errors.read_object(error)


_SEARCH_MEMBERS: Final = frozenset(
    {"web_search_options", "search_parameters", "parameters", "enable_search", "tools"}
)
_OPENAI_LENGTH: Final = (
    b'data: {"id":"","object":"chat.completion.chunk","created":0,"model":"",'
    b'"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}\n\n'
)

CODECS: Final[Mapping[Dialect, Codec[Any]]] = MappingProxyType(
    {codec.name: codec for codec in (_OpenAI(), ResponsesCodec(), _Anthropic(), _Gemini())}
)


def _only_effort(settings: ReasoningSettings) -> bool:
    return settings.effort is not None and settings == ReasoningSettings(settings.effort)


def _with_edits(quirks: Quirks, members: JsonObject) -> Quirks:
    added = {name: msgspec.json.encode(value) for name, value in members.items()}
    return quirks._replace(edits={**quirks.edits, **added})


def _search_tools(body: Body) -> list[dict[str, Any]]:
    """The provider's own search tools of a request."""
    raw = body.value("tools")
    if raw is None or b"web_search" not in raw:
        return []
    found = dicts(value_of(raw))
    return [tool for tool in found if str(tool.get("type")).startswith("web_search")]


def _searches(asked: Any, assumed: int = SEARCHES_ASSUMED) -> int:
    """A bound of the searches, by what a client wants; what is none bounds nothing."""
    return asked if type(asked) is int and asked >= 0 else assumed
