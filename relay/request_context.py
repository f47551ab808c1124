"""What one request carries with it, and what whoever asked gets to hear."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, Protocol
from uuid import UUID

from dialects.codec import Codec, Target
from dialects.errors import ErrorKind, message_of
from dialects.labels import NO_LABELS
from relay.auth import Principal
from relay.config import RelayConfig
from relay.deadline import Deadline
from relay.health import Health
from relay.keep_alive import KeepAlive
from relay.large import LargeEvents
from relay.ledger_writer import LedgerWriter
from relay.limits import Headroom
from relay.plain import PlainOperation
from relay.snapshot import Snapshot
from relay.state_store import StateStore
from relay.upstream import Upstreams
from usage.sql import Ending, Refusal

# As long as a model's name may be in a route, an attempt and a record.
MODEL_LENGTH_MAX: Final = 200

Source = Literal["api", "playground"]
PageOperation = Literal["chat_completions", "embeddings"]
"""What our own pages ask for."""

NOTHING_LIMITED: Final[Mapping[str, Headroom]] = MappingProxyType({})


class Outcome(NamedTuple):
    """How a request ended. One that was refused has no meters and no charge. `basis` is that of
    its usage record; amounts are nano-USD."""

    request_id: UUID
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


class Bound(NamedTuple):
    """What a request could cost, told before it is sent: it would hold `hold_nano`.

    `output_cap` is the cap per choice that the upstream would be told because the money reaches no
    further, None where nothing is changed. `output_tokens` are those per choice that are held,
    `input_tokens` an upper bound; `price_version_id` None is a free model. `available_nano` is what
    there is to hold now; where it does not suffice (`fits` False) the request would be refused.
    """

    hold_nano: int
    output_cap: int | None
    input_tokens: int
    output_tokens: int
    price_version_id: int | None
    available_nano: int
    fits: bool


class Head(NamedTuple):
    """What stands before an answer: `cost_nano` is known before the body only for a plain one,
    `dropped` are the parameters that the upstream did not hear of, `headroom` what is left of the
    key's limits. `channel` is told to operators only, with the number of attempts."""

    content_type: str
    hold_nano: int
    output_cap: int | None
    cost_nano: int | None
    dropped: tuple[str, ...] = ()
    headroom: Mapping[str, Headroom] = NOTHING_LIMITED
    channel: str | None = None
    attempts: int = 1


class ErrorAnswer(NamedTuple):
    """An answer that is an error; `waits` is False where no wait makes it another."""

    kind: ErrorKind
    status: int
    message: str
    param: str | None = None
    code: str | None = None
    retry_after_ms: int | None = None
    headroom: Mapping[str, Headroom] = NOTHING_LIMITED
    waits: bool = True


class AnswerRecorder(Protocol):
    """Keeps the answer of a request that may be sent again, before it is settled."""

    async def keep_answer(self, head: Head, raw: bytes) -> None:
        """The whole answer."""

    async def keep_end(self, raw: bytes) -> None:
        """The rest of a stream."""


class Sink(Protocol):
    """Whoever gets the answer: an HTTP client, or a page of ours."""

    async def refuse(self, error: ErrorAnswer) -> None:
        """The whole answer is an error."""

    async def answer(self, head: Head, raw: bytes) -> None:
        """The whole answer at once."""

    async def begin(self, head: Head) -> None:
        """A stream begins."""

    async def write(self, raw: bytes, *, last: bool) -> None:
        """More of the stream; returns when more can be taken."""

    def write_now(self, raw: bytes) -> Awaitable[None] | None:
        """More of the stream, from outside of any task; what must be awaited before there may be
        more, None where it may come at once."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What every request works with. `renew` reads a principal again whose budgets have changed;
    it raises RequestFault where the key has ended, and DatabaseAway."""

    config: RelayConfig
    ledger: LedgerWriter
    upstreams: Upstreams
    health: Health
    large: LargeEvents
    states: StateStore
    renew: Callable[[Principal], Awaitable[Principal]]


class Invocation(NamedTuple):
    """What is asked, as far as path and headers say it: in whose dialect, what records call it, and
    the client's headers, of which some go on; what is no chat is asked as a `plain` operation."""

    codec: Codec[Any]
    operation: str
    target: Target = Target()
    headers: Sequence[tuple[bytes, bytes]] = ()
    plain: PlainOperation | None = None


class RequestContext:
    """One request of one principal. `client_gone`: nobody listens any more;
    `begun`: its stream has begun; `recorder` keeps its answer; `tells_cost`: the charge stands in
    its usage; `settles_at_once`: what it holds may be missed by others. `labels` are the client's,
    `headroom` what is left of the key's limits once it is admitted."""

    __slots__ = (
        "began",
        "begun",
        "client_gone",
        "deadline",
        "headroom",
        "invocation",
        "keep_alive",
        "labels",
        "max_cost_nano",
        "parts",
        "principal",
        "recorder",
        "request_id",
        "settles_at_once",
        "sink",
        "snapshot",
        "source",
        "tells_cost",
        "time",
    )

    def __init__(
        self,
        parts: Parts,
        snapshot: Snapshot,
        principal: Principal,
        sink: Sink,
        deadline: Deadline,
        invocation: Invocation,
        *,
        request_id: UUID,
        source: Source,
        max_cost_nano: int | None,
    ) -> None:
        self.invocation = invocation
        self.parts = parts
        self.snapshot = snapshot
        self.principal = principal
        self.sink = sink
        self.deadline = deadline
        self.request_id = request_id
        self.source = source
        self.max_cost_nano = max_cost_nano
        self.labels = NO_LABELS
        self.tells_cost = False
        self.settles_at_once = False
        self.headroom = NOTHING_LIMITED
        self.client_gone = False
        self.begun = False
        self.keep_alive: KeepAlive | None = None
        self.recorder: AnswerRecorder | None = None
        self.time = asyncio.get_running_loop().time
        self.began = self.time()

    async def begin(self, head: Head) -> None:
        """Begin the stream, unless a silence did."""
        if not self.begun:
            self.begun = True
            await self.sink.begin(head)

    async def write(self, raw: bytes, *, last: bool) -> None:
        """Write more of the stream."""
        if last and self.keep_alive is not None:
            self.keep_alive.stop()
        await self.sink.write(raw, last=last)

    async def refuse(self, error: ErrorAnswer) -> None:
        """Answer with an error, be it inside a stream that has begun."""
        if self.keep_alive is not None:
            self.keep_alive.stop()
        await self.sink.refuse(error)

    def elapsed_ms(self) -> int:
        """Milliseconds since the request was read."""
        return int((self.time() - self.began) * 1000)

    def plain_outcome(
        self, status: int, kind: ErrorKind, message: str, *, basis: str = "none"
    ) -> Outcome:
        """The outcome of a request that costs nothing."""
        return Outcome(
            self.request_id, status, kind, message, "", {}, 0, basis, 0, None, self.elapsed_ms()
        )

    def note(
        self,
        status: int,
        kind: ErrorKind,
        message: str,
        model: str,
        *,
        stream: bool,
        window_id: int | None = None,
        after_attempts: bool = False,
    ) -> Outcome:
        """Write the record of this request as one that never became an attempt; `window_id` is the
        budget window that refused it. `after_attempts`: unless an attempt is known as its end."""
        principal = self.principal
        ending = Ending(
            final=True, status=status, kind=kind, message=message, total_ms=self.elapsed_ms()
        )
        self.parts.ledger.settle(
            Refusal(
                principal.organisation_id,
                self.request_id,
                principal.team_id,
                principal.key_id,
                principal.user_id,
                model[:MODEL_LENGTH_MAX],
                self.invocation.codec.name,
                self.invocation.operation,
                stream,
                self.source,
                ending,
                window_id,
                after_attempts,
            )
        )
        return self.plain_outcome(status, kind, message)


CLIENT_CLOSED: Final = message_of("client_closed")
