"""The context of a request while it is answered: who asks, by when, and where the answer goes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from dialects.codec import Facts
from lib.id_types import AttemptId, RequestId
from relay.catalogue.snapshot import Snapshot
from relay.config import RelayConfig
from relay.credentials.keys import Principal
from relay.downstream.deadline import Deadline
from relay.downstream.downstream import Downstream, Sink
from relay.guarding.asking import GuardService, RequestGuards
from relay.health.channel_health import Health
from relay.load.load import Turns
from relay.requests.invocation import Invocation
from relay.requests.options import NO_OPTIONS, RequestOptions, Source
from relay.states.state_store import StateStore
from relay.upstream.large_events import LargeEvents
from relay.upstream.upstream import Upstreams


class PromptUse(NamedTuple):
    """The saved prompt that a request uses: its slug, and the number of its version."""

    name: str
    version: int


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
    def entrust(self, attempt_id: AttemptId) -> None: ...


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
    guard_calls: GuardService


class RequestContext:
    """One request of one principal. Immutable, except for the state of `downstream` and `deadline`,
    and for `session`, `prompt` and `guarding`, which need the body. `AdmittedAttempt` has what an
    admission adds. `response_id` is the id of a response that runs in the background, "" for other
    answers."""

    __slots__ = (
        "began",
        "deadline",
        "downstream",
        "guarding",
        "invocation",
        "options",
        "parts",
        "principal",
        "prompt",
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
        self.prompt: PromptUse | None = None
        # The guards of the request; None if its key has none, and before its body is read.
        self.guarding: RequestGuards | None = None
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
