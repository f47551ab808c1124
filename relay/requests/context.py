"""The context of a request while it is answered, and its outcome."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, NamedTuple, Protocol, cast
from uuid import UUID

import msgspec

from accounts.limits.data_policy import NO_POLICY, DataPolicy
from dialects.chat.operation import Operation
from dialects.codec import Codec, Facts, Target
from dialects.errors.errors import ErrorKind, message_of
from dialects.errors.task_errors import Family
from lib.id_types import ModelName, RequestId
from relay.answers.large_events import LargeEvents
from relay.answers.state_store import StateStore
from relay.config import RelayConfig
from relay.credentials.keys import Principal
from relay.front.deadline import Deadline
from relay.front.downstream import Downstream, ErrorAnswer, Sink
from relay.front.load import Turns
from relay.health.channel_health import Health
from relay.requests.labels import NO_LABELS, Labels
from relay.requests.sessions import Session
from relay.routing.snapshot import Snapshot
from relay.upstream.upstream import Upstreams
from usage.records.sql import Ending, Refusal

# The maximum length of a model's name in a route, an attempt and a record.
MODEL_LENGTH_MAX: Final = 200
# A quoted name or number helps; a quoted sentence is the client's own text.
_QUOTED: Final = re.compile(r"""(["'`])(?=[^"'`]*\s|[^"'`]{41})[^"'`]+\1""")

Source = Literal["api", "playground"]
PageOperation = Literal[
    "chat_completions",
    "embeddings",
    "image_generations",
    "image_edits",
    "speech",
    "transcriptions",
    "translations",
    "videos",
    "suno_music",
    "suno_lyrics",
    "midjourney_imagine",
    "midjourney_describe",
    "midjourney_blend",
    "midjourney_shorten",
    "midjourney_action",
    "midjourney_modal",
]
"""The kind of requests from our own pages."""


class Outcome(msgspec.Struct, frozen=True):
    """How a request ended. A refused request has no meters and no charge. `basis` is as in its
    usage record; amounts are nano-USD; `budget_id` is the budget that refused it. `own_nano` is
    what the organisation pays its provider itself."""

    request_id: RequestId
    status: int
    kind: str | None
    message: str
    finish_reason: str
    meters: Mapping[str, int]
    charge_nano: int
    basis: str
    hold_nano: int
    ttft_ms: int | None
    total_ms: int
    budget_id: int | None = None
    own_nano: int = 0


class Bound(NamedTuple):
    """What a request could cost, computed before it is sent: it would hold `hold_nano`.
    `output_cap` is the cap per choice to send upstream because of a low balance, None for no
    change. `output_tokens` are held per choice; `input_tokens` is an upper bound;
    `price_version_id` is None for a free model. `available_nano` is the available balance; if it
    does not suffice (`fits` False) the request would be refused. `expected_nano` is the expected
    charge, None if it was not computed or is unknown."""

    hold_nano: int
    output_cap: int | None
    input_tokens: int
    output_tokens: int
    price_version_id: int | None
    available_nano: int
    fits: bool
    expected_nano: int | None = None


class Shadows(Protocol):
    """Sends finished requests to shadow channels as well (`shadow_traffic.py`)."""

    def follow(
        self,
        context: "RequestContext",
        facts_of: Callable[[], Facts | None],
        model: str,
        main: Callable[[], Any],
    ) -> None:
        """Send a copy of the request if its model has a shadow, with the answer that the client
        received. Return without waiting."""


class MeteredStream(Protocol):
    """A stream that reports how much has certainly been used (`UsageMeter`)."""

    @property
    def id(self) -> UUID: ...
    def mark(self) -> str | None:
        """Return the meters up to now as JSON text, or None if nothing has changed."""


class Marks(Protocol):
    """The high-water marks of streams (`LedgerMarks`)."""

    def watch(self, stream: MeteredStream) -> None: ...
    def unwatch(self, stream: MeteredStream) -> None: ...
    def mark(self, stream: MeteredStream) -> None: ...


class Ledger(Protocol):
    """What requests need of the ledger (`LedgerWriter`). The step that admits, and those that
    settle, know what they write: an AdmissionRequest, whose answer is a Verdict, and
    AnySettlement."""

    @property
    def marks(self) -> Marks: ...
    async def admit(self, request: Any) -> Any: ...
    def settle(self, item: Any, *, at_once: bool = False) -> None: ...


class OtherOperation(Protocol):
    """An operation other than a chat, as a client asks for it (`UnaryOperation`): `read` returns
    its UnaryFacts, and `send` its Sending for an upstream with these operations."""

    default_model: str
    model_fields: ClassVar[tuple[str, ...]]
    lasts_s: ClassVar[float]
    has_tools: ClassVar[bool]

    def read(self, raw: bytes, target: Target) -> Any: ...
    def send(
        self, facts: Any, urls: Mapping[Operation, str], model: str, request_id: str
    ) -> Any: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What every request works with. `renew` reads a principal again whose budgets have changed; it
    raises RequestFault if the key has ended, and DatabaseAway. `available_nano` reads what could be
    held now (`Lifespan.available_nano`). `loop` is the event loop of all requests: before Python
    3.12, asking for the running loop takes a system call.
    """

    loop: asyncio.AbstractEventLoop
    config: RelayConfig
    ledger: Ledger
    upstreams: Upstreams
    health: Health
    large: LargeEvents
    states: StateStore
    renew: Callable[[Principal], Awaitable[Principal]]
    available_nano: Callable[..., Awaitable[int]]
    shadows: Shadows
    turns: Turns


class Invocation(msgspec.Struct, frozen=True):
    """What the path and headers of a request say: the dialect, the name in the records, and the
    client's headers, some of which are forwarded. Requests other than chats are a `unary`
    operation. Errors of a task service are in the form of its `family`."""

    codec: Codec[Any]
    operation: str
    target: Target = Target()
    headers: Sequence[tuple[bytes, bytes]] = ()
    unary: OtherOperation | None = None
    family: Family | None = None


class RequestOptions(msgspec.Struct, frozen=True):
    """What a client sets outside the body: `max_cost_nano` is the most that it pays, `labels`
    classify the request, and `data_policy` restricts where its data may go; it may ask for the
    charge in the answer's usage. Also recorded are its application, its address ("" if addresses
    are not recorded), the session that its headers or its realtime connection name, and the most
    that the session may cost."""

    max_cost_nano: int | None = None
    labels: Labels = NO_LABELS
    include_cost: bool = False
    data_policy: DataPolicy = NO_POLICY
    client_app: str = ""
    address: str = ""
    session: Session | None = None
    session_cap_nano: int | None = None


NO_OPTIONS: Final = RequestOptions()


class RequestContext:
    """One request of one principal. Immutable, except for the state of `downstream` and `deadline`,
    and for `session`, which the body may name. `AdmittedAttempt` has what an admission adds.
    `response_id` is the id of a response that runs in the background, "" for other answers."""

    __slots__ = (
        "began",
        "deadline",
        "downstream",
        "invocation",
        "options",
        "parts",
        "principal",
        "request_id",
        "response_id",
        "session",
        "snapshot",
        "source",
        "time",
    )

    def __init__(
        self,
        parts: Parts,
        snapshot: Snapshot,
        principal: Principal,
        downstream: Downstream,
        deadline: Deadline,
        invocation: Invocation,
        *,
        request_id: RequestId,
        source: Source,
        options: RequestOptions,
        began: float | None = None,
        response_id: str = "",
    ) -> None:
        self.parts = parts
        self.snapshot = snapshot
        self.principal = principal
        self.downstream = downstream
        self.deadline = deadline
        self.invocation = invocation
        self.options = options
        self.session = options.session
        self.request_id = request_id
        self.response_id = response_id
        self.source: Source = source
        # The event loop's clock, and its time when the request was authenticated.
        self.time = deadline.time
        self.began = self.time() if began is None else began

    def elapsed_ms(self) -> int:
        """Return the milliseconds since the request was authenticated."""
        return int((self.time() - self.began) * 1000)

    def await_client(self) -> None:
        """Limit the next step, which waits for the client or for its stored data."""
        self.deadline.allow("stall", self.parts.config.write_stall_s)

    def uncharged_outcome(self, error: ErrorAnswer, *, basis: str = "none") -> Outcome:
        """Return the outcome of a request that costs nothing."""
        total_ms = self.elapsed_ms()
        return Outcome(
            request_id=self.request_id,
            status=error.status,
            kind=error.kind,
            message=error.message,
            finish_reason="",
            meters={},
            charge_nano=0,
            basis=basis,
            hold_nano=0,
            ttft_ms=None,
            total_ms=total_ms,
            budget_id=error.budget_id,
        )

    def record_refusal(
        self,
        error: ErrorAnswer,
        model: str,
        *,
        stream: bool,
        window_id: int | None = None,
        after_attempts: bool = False,
    ) -> Outcome:
        """Write the record of this request, which never became an attempt; `window_id` is the
        budget window that refused it. With `after_attempts`, write it unless an attempt is recorded
        as its end.
        """
        outcome = self.uncharged_outcome(error)
        ending = Ending(
            final=True,
            status=error.status,
            kind=error.kind,
            message=kept_message(self.principal, error.kind, error.message),
            total_ms=outcome.total_ms,
            address=self.options.address,
        )
        refusal = self._record(ending, model, self.invocation.operation, stream=stream)
        self.parts.ledger.settle(
            msgspec.structs.replace(refusal, window_id=window_id, after_attempts=after_attempts)
        )
        return outcome

    def record_answer(self, model: str, operation: str) -> None:
        """Write the record of a request that was answered without an attempt and costs nothing.
        `model` may be empty."""
        ending = Ending(
            final=True, status=200, total_ms=self.elapsed_ms(), address=self.options.address
        )
        self.parts.ledger.settle(self._record(ending, model, operation, stream=False))

    def _record(self, ending: Ending, model: str, operation: str, *, stream: bool) -> Refusal:
        """Return the record of a request without an attempt."""
        principal, session = self.principal, self.session
        labels = principal.attribution(self.options.labels, self.options.client_app)
        return Refusal(
            organisation_id=principal.organisation_id,
            request_id=self.request_id,
            team_id=principal.team_id,
            key_id=principal.key_id,
            user_id=principal.user_id,
            model=ModelName(model[:MODEL_LENGTH_MAX]),
            dialect=self.invocation.codec.name,
            operation=operation,
            stream=stream,
            source=self.source,
            ending=ending,
            project=labels.project,
            tags=labels.tags,
            customer=labels.customer,
            client_app=labels.client_app,
            session_id=None if session is None else session.id,
            session=None if session is None else session.details,
        )


def kept_message(principal: Principal, kind: str | None, message: str) -> str:
    """Return an error's message as a record keeps it, without quoted sentences: a provider may
    quote the request, which may not be stored, or whose content would outlive it (P31). If nothing
    of the request may be stored, return the general text for errors of its kind."""
    if not message or kind is None:
        return message
    if not principal.retention_hours:
        return message_of(cast(ErrorKind, kind))
    return _QUOTED.sub(r"\1…\1", message)


def context_of_task(
    parts: Parts,
    snapshot: Snapshot,
    principal: Principal,
    sink: Sink,
    invocation: Invocation,
    *,
    request_id: RequestId,
    source: Source = "api",
    options: RequestOptions = NO_OPTIONS,
    began: float | None = None,
    response_id: str = "",
) -> RequestContext:
    """Return the context of a request that the running task answers."""
    task = asyncio.current_task(parts.loop)
    return RequestContext(
        parts,
        snapshot,
        principal,
        Downstream(sink),
        Deadline(task),  # type: ignore[arg-type]
        invocation,
        request_id=request_id,
        source=source,
        options=options,
        began=began,
        response_id=response_id,
    )
