"""The interface of a dialect, which `<dialect>/codec.py` implements.

    client's dialect    read, edit, decode      write_answer, encoder      render, frame, headers
    upstream's dialect  encode, urls_to_fetch    read_answer, decoder       read_error, quantities

If both are the same, the bytes are forwarded: `edit` changes single members of the body, and the
upstream's own frames are sent on. Otherwise the request is decoded once and encoded for every
attempt, and the events of the answer are encoded for the client.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

import msgspec

from dialects.chat.chat import (
    ChatAnswer,
    ChatRequest,
    Dialect,
    Encoded,
    Flag,
    JsonObject,
    ReasoningSettings,
    Upstream,
)
from dialects.chat.events import Broken, BrokenFault, Event, Step, UpstreamError
from dialects.chat.fold import AnswerFault, fold
from dialects.chat.hosted_tools import HostedTools
from dialects.chat.media import MediaKind
from dialects.chat.operation import NO_NEEDS, Needs, Operation
from dialects.chat.steps import OtherSteps
from dialects.errors.errors import retry_after_s
from dialects.errors.kinds import ErrorKind
from dialects.json.body import NO_QUIRKS, Body, Quirks
from dialects.json.raw_json import ReadFault
from dialects.upstream_errors import api_errors
from dialects.upstream_errors.upstream_errors import UpstreamFault
from dialects.usage.usage import Quantities

EVENT_STREAM: Final = "text/event-stream"
JSON: Final = "application/json"
_COMMENT: Final = b": ping\n\n"
_Parsed = TypeVar("_Parsed")
# The operations of a chat in each dialect, whole and streamed.
_CHAT_OPERATIONS: Final[Mapping[Dialect, tuple[Operation, Operation]]] = {
    "openai": ("chat_completions", "chat_completions"),
    "responses": ("responses", "responses"),
    "anthropic": ("messages", "messages"),
    "gemini": ("generate_content", "stream_generate_content"),
    "interactions": ("interactions", "interactions"),
    "converse": ("converse", "converse_stream"),
}


class Facts(Protocol):
    """The facts about a chat request that the gateway needs before routing, holding and sending it;
    see the `ChatFacts` of each dialect.
    """

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
    def media(self) -> Mapping[MediaKind, int]: ...
    @property
    def audio_output(self) -> bool: ...
    @property
    def max_cost_nano(self) -> int | None: ...


class Target(msgspec.Struct, frozen=True):
    """What the path of a request says in addition to its body: gemini's contains the model and
    whether to stream. `model` is the path's own name for it. `array`: the stream is a JSON array
    instead of events. `task` is the id of a media task."""

    model: str = ""
    stream: bool = False
    array: bool = False
    task: str = ""


class Progress(Protocol):
    """The size of an answer that is being read, in UTF-8 bytes, as plain attributes."""

    text_bytes: int

    @property
    def reasoning_bytes(self) -> int: ...


class Counting(Protocol):
    """The size of an answer, whole or up to now."""

    @property
    def usage(self) -> bytes | None: ...
    @property
    def text_bytes(self) -> int: ...
    @property
    def reasoning_bytes(self) -> int: ...


class WholeAnswer(msgspec.Struct, frozen=True):
    """The content of a whole answer. `events` are the same as in a stream, `usage` is the raw usage
    object or None (F25), `searches` counts web searches if the usage does not. With `error` (F23)
    or `broken` (F14 without an end, F15 no JSON, F16 no UTF-8, F24 empty) the answer is a failure,
    and its bytes are not sent to the client."""

    events: list[Event]
    usage: bytes | None
    text_bytes: int
    reasoning_bytes: int = 0
    searches: int = 0
    error: UpstreamError | None = None
    broken: BrokenFault | None = None

    def fold(self) -> ChatAnswer:
        """Return the answer in neutral form. Raises AnswerFault if it is a failure."""
        if self.error is not None:
            raise AnswerFault(self.error)
        if self.broken is not None:
            raise AnswerFault(Broken(self.broken))
        return fold(self.events)


def failed_answer(event: UpstreamError | Broken, usage: bytes | None = None) -> WholeAnswer:
    """Return the WholeAnswer of a failure. `usage` is what its provider counted all the same."""
    if isinstance(event, UpstreamError):
        return WholeAnswer([], usage, 0, error=event)
    return WholeAnswer([], usage, 0, broken=event.fault)


def parse_whole(raw: bytes, parse: Callable[[bytes], _Parsed]) -> _Parsed:
    """Parse the body of a 200 response. Raises AnswerFault."""
    if not raw.strip():
        raise AnswerFault(Broken("F24"))
    try:
        raw.decode()
        return parse(raw)
    except UnicodeDecodeError:
        raise AnswerFault(Broken("F16")) from None
    except ReadFault:
        raise AnswerFault(Broken("F15")) from None


class Framing(Protocol):
    """Writes the server-sent events of a stream in the framing of a client that reads another."""

    content_type: ClassVar[str]

    def feed(self, frames: bytes) -> bytes:
        """Return the bytes of the complete frames."""


HeaderLines = tuple[tuple[bytes, bytes], ...]


class Decoder(Counting, Protocol):
    """Reads a streamed answer; `complete` is true once a break is no longer a fault."""

    @property
    def complete(self) -> bool: ...
    @property
    def waits_for_usage(self) -> bool: ...
    @property
    def progress(self) -> "Progress":
        """The size so far; the same object for the whole answer."""

    def report_tier(self, on_tier: Callable[[str], None]) -> None:
        """Call `on_tier` with each service tier that a later frame names."""

    def show(self, rewrite: Callable[[bytes], bytes]) -> None:
        """Pass every later frame through `rewrite` before it goes to the client. `rewrite` must not
        change the frame's texts."""

    def feed(self, chunk: bytes) -> list[Step]:
        """Return the steps that this chunk completes. The last step of an answer holds End,
        UpstreamError or Broken."""

    def end(self) -> list[Step]:
        """Return the last steps, after the upstream has closed the connection."""


class Encoder(Protocol):
    """Writes a streamed answer. One that writes all texts of a choice that follow each other
    between the same bytes has `around_text` (see `dialects/streams/splice.py`)."""

    def feed(self, event: Event) -> bytes:
        """Return the frames of an event."""

    def end(self) -> bytes:
        """Return the frames that end a complete answer."""

    def fail(self, kind: ErrorKind, message: str, guard_code: str | None = None) -> bytes:
        """Return the frames that end a failed answer. They contain the request's id, and the code
        of the guard that refused the answer."""


F = TypeVar("F", bound=Facts)


class Codec(ABC, Generic[F]):
    """A dialect of clients and upstreams. Everything that reads a client's bytes may raise
    RequestFault.

    `ping` keeps a silent stream open. `request_header` is the dialect's own header for a request's
    id, b"" if it has none.
    `model_in_answer` and `model_in_frame` lead to the member that names the model.
    `tool_name_max` is how many characters the name of a tool may have.
    """

    name: ClassVar[Dialect]
    request_header: ClassVar[bytes] = b""
    ping: ClassVar[bytes] = _COMMENT
    model_in_answer: ClassVar[tuple[str, ...]] = ("model",)
    model_in_frame: ClassVar[tuple[str, ...]] = ("model",)
    tool_name_max: ClassVar[int] = 64

    # ---- upstreams

    @abstractmethod
    def encode(self, request: ChatRequest, upstream: Upstream) -> Encoded:
        """Encode the body for an upstream of this dialect."""

    @abstractmethod
    def urls_to_fetch(self, request: ChatRequest) -> tuple[str, ...]:
        """Return the URLs of a request that an upstream of this dialect does not fetch itself."""

    def upstream_operation(self, *, stream: bool) -> Operation:
        """Return the operation of a chat request to an upstream of this dialect."""
        return _CHAT_OPERATIONS[self.name][stream]

    def count_model(self, model: str) -> str | None:
        """Return the name by which a model's tokens can be counted; None if they cannot."""
        return model

    def count_request(self, body: bytes) -> bytes:
        """Return a request for a token count in the upstream's form."""
        return body

    def count_answer(self, raw: bytes) -> bytes:
        """Return the upstream's token count in the dialect's form."""
        return raw

    def content_type(self, target: Target, *, stream: bool) -> str:
        """Return the content type of an answer."""
        return EVENT_STREAM if stream else JSON

    @abstractmethod
    def translate_answer(self, raw: bytes, request: ChatRequest, answer_tool: str) -> WholeAnswer:
        """Read a whole answer for an encoder."""

    @abstractmethod
    def translating_decoder(self, request: ChatRequest, answer_tool: str) -> Decoder:
        """Open a decoder whose events go to an encoder."""

    @abstractmethod
    def quantities(self, answer: Any) -> Quantities:
        """Return the quantities that an answer of this dialect reports; `answer` is a Counting."""

    @abstractmethod
    def read_error(
        self, status: int, headers: Mapping[str, str], body: bytes, now_s: int
    ) -> UpstreamFault:
        """Read a response whose status is not 200; header names are lower-case."""

    @abstractmethod
    def read_error_object(self, error: bytes) -> UpstreamFault:
        """Read an upstream's error inside a 200 response (F23)."""

    # ---- requests

    def standard_request(self, raw: bytes, target: Target) -> tuple[bytes, HeaderLines]:
        """Return the body in the dialect's usual form, and the headers that it contains: the
        clients of a cloud write both otherwise. A body that cannot be read is returned unchanged.
        """
        return raw, ()

    def other_names(self, model: str) -> Iterator[str]:
        """Return the names that a model may have here, by its name in the client's cloud."""
        return iter(())

    @abstractmethod
    def read(self, raw: bytes, target: Target) -> F:
        """Read the facts about a client's request."""

    @abstractmethod
    def edit(
        self,
        facts: F,
        model: str,
        output_cap: int | None,
        thinking: JsonObject | None,
        quirks: Quirks,
    ) -> bytes:
        """Return the client's bytes, edited for an upstream of the same dialect."""

    @abstractmethod
    def decode(self, facts: F, target: Target, request_id: str, received_at: int) -> ChatRequest:
        """Decode the request into neutral form."""

    def answer_request(
        self, facts: F, model: str, request_id: str, received_at: int
    ) -> ChatRequest | None:
        """Return a request that has only what this dialect's answers are written by, without
        decoding the body; None if that takes `decode`."""
        return None

    def needs(self, facts: F) -> Needs:
        """Return the properties of an undecoded request that determine its routing."""
        return NO_NEEDS

    def thinking(self, settings: ReasoningSettings, upstream: Upstream) -> JsonObject | None:
        """Return the thinking settings of a model's suffix in the form of `edit`; None if not
        possible."""
        return None

    def unseen_input(self, facts: F) -> bool:
        """Return whether the model will read input that the body does not contain."""
        return False

    def needs_fit(self, facts: F, flags: frozenset[Flag]) -> bool:
        """Return whether a model's flags may change a forwarded request."""
        return False

    def quirks_for(self, facts: F, upstream: Upstream, thoughts: Mapping[str, str]) -> Quirks:
        """Return the edits that the model's flags require. `thoughts` is the known reasoning of
        `calls_without_reasoning`. Raises RequestFault."""
        return NO_QUIRKS

    def fit_headers(self, facts: F, quirks: Quirks, headers: Mapping[str, str]) -> Quirks:
        """Return the quirks, including the headers that this upstream expects as members of its
        body. Header names are in lower case."""
        return quirks

    def forwarded_headers(
        self, headers: tuple[tuple[str, str], ...]
    ) -> tuple[tuple[str, str], ...]:
        """Return the client's headers as this upstream expects them."""
        return headers

    def calls_without_reasoning(self, facts: F) -> list[str]:
        """Return the ids of earlier tool calls that come without their reasoning."""
        return []

    def continuation_of(self, facts: F) -> Any:
        """Return the facts of a request that may continue an earlier one; None if the dialect has
        no such requests."""
        return None

    def response_of(self, stream: Any) -> bytes | None:
        """Return the whole answer at the end of a stream, from this dialect's decoder or encoder;
        None if the dialect has no such object or the stream broke off."""
        return None

    def other_steps(self, facts: F) -> OtherSteps | None:
        """Return what the provider may bill besides the answer of the requested model."""
        return None

    def hosted_tools(self, facts: F) -> HostedTools:
        """Return the tools of the request that its provider runs itself."""
        return ()

    def undecoded_fields(self, facts: F) -> tuple[str, ...]:
        """Return the parameters that `decode` drops; those that encoders drop are in
        `Encoded.dropped`."""
        return ()

    def operation(self, target: Target, *, stream: bool) -> Operation | None:
        """Return the operation of a forwarded request; None if no provider has it."""
        return self.upstream_operation(stream=stream)

    # ---- answers

    def framing(self, elapsed_ms: Callable[[], int]) -> Framing | None:
        """Open what writes a stream for a client that reads no server-sent events. `elapsed_ms`
        returns the time since the request arrived."""
        return None

    def add_time(self, raw: bytes, elapsed_ms: int) -> bytes:
        """Return a whole answer with the time that it took, if the dialect tells it."""
        return raw

    def write_count(self, raw: bytes) -> bytes:
        """Return the answer to a count of tokens in the client's form."""
        return raw

    @abstractmethod
    def read_answer(self, raw: bytes) -> WholeAnswer:
        """Read a whole answer that is forwarded unchanged."""

    @abstractmethod
    def write_answer(self, answer: ChatAnswer, request: ChatRequest) -> bytes:
        """Write a whole answer for the client."""

    @abstractmethod
    def decoder(self, facts: F, target: Target) -> Decoder:
        """Open a decoder for a stream that is forwarded unchanged."""

    @abstractmethod
    def encoder(self, request: ChatRequest, target: Target) -> Encoder:
        """Open an encoder for the client's stream."""

    def fail(self, decoder: Any, kind: ErrorKind, message: str, request_id: str) -> bytes:
        """Return the frames that end a failed forwarded stream; `decoder` comes from
        `decoder()`."""
        frames: bytes = decoder.fail(kind, message, request_id)
        return frames

    def cut(self, decoder: Any) -> bytes:
        """Return the frames that end a forwarded stream as if it had reached its length (F18)."""
        frames: bytes = decoder.length_notice()
        return frames

    # ---- errors

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
        guard_code: str | None = None,
    ) -> bytes:
        """Return the body of an error response. `code` is a provider's, and `guard_code` that of
        the guard that refused."""
        code = guard_code or code
        return api_errors.render(kind, message, param=param, code=code, request_id=request_id)

    @abstractmethod
    def error_frame(
        self,
        kind: ErrorKind,
        message: str,
        request_id: str,
        target: Target,
        guard_code: str | None = None,
    ) -> bytes:
        """Write an error as the only frame of a stream that has started without content."""

    def status(self, kind: ErrorKind, status: int) -> int:
        """Return the dialect's status for a kind whose neutral status is `status`."""
        return status

    def headers(
        self, kind: ErrorKind, status: int, request_id: str, wait_ms: int | None
    ) -> dict[str, str]:
        """Return the headers of an error response."""
        if wait_ms is None:
            return {}
        fields = {"retry-after": str(retry_after_s(wait_ms))}
        # Clients that get whole seconds would otherwise all return at the same instant.
        exact = status in (429, 503)
        return fields | {"retry-after-ms": str(wait_ms)} if exact else fields
