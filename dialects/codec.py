"""What is asked of a dialect, whichever it is: the protocol that `<dialect>/codec.py` fulfils.

    client's dialect    read, edit, decode      write_answer, encoder      render, frame, headers
    upstream's dialect  encode, urls_to_fetch    read_answer, decoder       read_error, quantities

Where both are the same, bytes go through: `edit` changes single members of the body, and the
upstream's own frames are forwarded. Where they differ, the request is decoded once and encoded for
every attempt, and the events of the answer are encoded for the client.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
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
from dialects.chat.events import Event, Step
from dialects.chat.steps import OtherSteps
from dialects.chat.whole_answer import WholeAnswer
from dialects.endpoints.operation import NO_NEEDS, Needs, Operation, chat_operation
from dialects.errors import api_errors
from dialects.errors.errors import ErrorKind, retry_after_s
from dialects.errors.upstream_errors import UpstreamFault
from dialects.json.body import NO_QUIRKS, Body, Quirks
from dialects.media.media import MediaKind
from dialects.usage.usage import Quantities

EVENT_STREAM: Final = "text/event-stream"
JSON: Final = "application/json"
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
    def media(self) -> Mapping[MediaKind, int]: ...
    @property
    def audio_output(self) -> bool: ...
    @property
    def max_cost_nano(self) -> int | None: ...


class Target(msgspec.Struct, frozen=True):
    """What the path of a request says beside its body: only gemini's names model and stream there.
    Of a path that names another thing, `model` is that name.

    `array`: the stream is one JSON array and no events. `task` is the id of a media task.
    """

    model: str = ""
    stream: bool = False
    array: bool = False
    task: str = ""


class Counting(Protocol):
    """What an answer, whole or so far, has told of its size."""

    @property
    def usage(self) -> bytes | None: ...
    @property
    def text_bytes(self) -> int: ...
    @property
    def reasoning_bytes(self) -> int: ...


class Decoder(Counting, Protocol):
    """A streamed answer while it is read; `complete` says that a cut would be no fault."""

    @property
    def complete(self) -> bool: ...
    def show(self, rewrite: Callable[[bytes], bytes]) -> None:
        """Give the client each frame as `rewrite` has it, which changes nothing of its texts."""

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
        """What ends an answer that has failed; it names the request that the encoder is of."""


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
    def urls_to_fetch(self, request: ChatRequest) -> tuple[str, ...]:
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

    def needs_fit(self, facts: F, flags: frozenset[Flag]) -> bool:
        """Whether a model's flags may change a request that goes on as it came."""
        return False

    def fit(self, facts: F, upstream: Upstream, thoughts: Mapping[str, str]) -> Quirks:
        """What they change; `thoughts` is the known reasoning of `calls_without_reasoning`. Raises
        RequestFault."""
        return NO_QUIRKS

    def calls_without_reasoning(self, facts: F) -> list[str]:
        """The ids of earlier tool calls that are shown without the reasoning that led to them."""
        return []

    def continuation_of(self, facts: F) -> Any:
        """The facts of a request that may go on from one before it; None where none can."""
        return None

    def response_of(self, stream: Any) -> bytes | None:
        """The whole answer at the end of a stream, by the decoder or encoder of this dialect that
        `stream` is; None where a dialect has none, or it was cut."""
        return None

    def other_steps(self, facts: F) -> OtherSteps | None:
        """What the provider may do and bill for the request beside its own model's answer."""
        return None

    def searches_max(self, facts: F) -> int:
        """A bound of the web searches that the provider may make and bill for the request."""
        return 0

    def undecoded_fields(self, facts: F) -> tuple[str, ...]:
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
        frames: bytes = decoder.fail(kind, message, request_id)
        return frames

    def cut(self, decoder: Any) -> bytes:
        """What ends a forwarded stream as if it had reached its length (F18)."""
        frames: bytes = decoder.length_notice()
        return frames

    @abstractmethod
    def quantities(self, answer: Any) -> Quantities:
        """What an answer of this dialect says it used; `answer` is a Counting of it."""

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
    ) -> bytes:
        """The body of an error response."""
        return api_errors.render(kind, message, param=param, code=code, request_id=request_id)

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
        fields = {"retry-after": str(retry_after_s(wait_ms))}
        # Who is told whole seconds comes back in the same instant as all others who were.
        exact = status in (429, 503)
        return fields | {"retry-after-ms": str(wait_ms)} if exact else fields

    @abstractmethod
    def read_error(
        self, status: int, headers: Mapping[str, str], body: bytes, now_s: int
    ) -> UpstreamFault:
        """An upstream's answer whose status is not 200; header names are lower-case."""

    @abstractmethod
    def read_error_object(self, error: bytes) -> UpstreamFault:
        """An upstream's error inside a 200 (F23)."""
