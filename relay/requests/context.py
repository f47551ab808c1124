"""What one request carries with it while it is answered, and what it comes to."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Protocol

import msgspec

from accounts.organisations.data_policy import NO_POLICY, DataPolicy
from dialects.codec import Codec, Facts, Target
from dialects.errors.task_errors import Family
from lib.id_types import ModelName, RequestId
from relay.answers.large_events import LargeEvents
from relay.answers.state_store import StateStore
from relay.answers.unary import UnaryOperation
from relay.config import RelayConfig
from relay.credentials.keys import Principal
from relay.front.deadline import Deadline
from relay.front.downstream import Downstream, ErrorAnswer, Sink
from relay.front.turns import Turns
from relay.health.channel_health import Health
from relay.ledger.writer import LedgerWriter
from relay.requests.error_excerpt import kept_message
from relay.requests.labels import NO_LABELS, Labels
from relay.routing.snapshot import Snapshot
from relay.upstream.upstream import Upstreams
from usage.records.sql import Ending, Refusal

# As long as a model's name may be in a route, an attempt and a record.
MODEL_LENGTH_MAX: Final = 200

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
"""What our own pages ask for."""


class Outcome(msgspec.Struct, frozen=True):
    """How a request ended. One that was refused has no meters and no charge. `basis` is that of
    its usage record; amounts are nano-USD; `budget_id` is the budget that refused it."""

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


class Shadows(Protocol):
    """Sends requests that have ended elsewhere too (`shadow_traffic.py`)."""

    def follow(
        self,
        context: "RequestContext",
        facts_of: Callable[[], Facts | None],
        model: str,
        main: Callable[[], Any],
    ) -> None:
        """Send one, with what its client has got, if its model has them. Returns at once."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What every request works with. `renew` reads a principal again whose budgets have changed;
    it raises RequestFault where the key has ended, and DatabaseAway. `available_nano` reads what
    could be held now (`Lifespan.available_nano`). `loop` is the event loop of them all: up to
    Python 3.11 it takes a system call to ask which one runs."""

    loop: asyncio.AbstractEventLoop
    config: RelayConfig
    ledger: LedgerWriter
    upstreams: Upstreams
    health: Health
    large: LargeEvents
    states: StateStore
    renew: Callable[[Principal], Awaitable[Principal]]
    available_nano: Callable[..., Awaitable[int]]
    shadows: Shadows
    turns: Turns


class Invocation(msgspec.Struct, frozen=True):
    """What is asked, as far as path and headers say it: in whose dialect, what records call it, and
    the client's headers, of which some go on; what is no chat is asked as a `unary` operation. The
    errors of a service of tasks are told in the form of its `family`."""

    codec: Codec[Any]
    operation: str
    target: Target = Target()
    headers: Sequence[tuple[bytes, bytes]] = ()
    unary: UnaryOperation | None = None
    family: Family | None = None


class RequestOptions(msgspec.Struct, frozen=True):
    """What a client wants beside its body: to pay no more than `max_cost_nano`, to find the request
    by its `labels`, to read its charge in the usage of its answer, to have its data only where
    `data_policy` lets it be; and which application it is, from which address, "" where that is not
    kept, in which realtime session (the id of the request that opened it)."""

    max_cost_nano: int | None = None
    labels: Labels = NO_LABELS
    include_cost: bool = False
    data_policy: DataPolicy = NO_POLICY
    client_app: str = ""
    address: str = ""
    session_id: RequestId | None = None


NO_OPTIONS: Final = RequestOptions()


class RequestContext:
    """One request of one principal. Nothing of it changes but what `downstream` and `deadline` know
    themselves; what an admission adds is in its `AdmittedAttempt`."""

    __slots__ = (
        "began",
        "deadline",
        "downstream",
        "invocation",
        "options",
        "parts",
        "principal",
        "request_id",
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
    ) -> None:
        self.parts = parts
        self.snapshot = snapshot
        self.principal = principal
        self.downstream = downstream
        self.deadline = deadline
        self.invocation = invocation
        self.options = options
        self.request_id = request_id
        self.source: Source = source
        # The clock of the event loop, and when the request was let in by it.
        self.time = deadline.time
        self.began = self.time() if began is None else began

    def elapsed_ms(self) -> int:
        """Milliseconds since the request was let in."""
        return int((self.time() - self.began) * 1000)

    def await_client(self) -> None:
        """The next step waits for the client, or for what is kept for it: so long it may take."""
        self.deadline.allow("stall", self.parts.config.write_stall_s)

    def uncharged_outcome(self, error: ErrorAnswer, *, basis: str = "none") -> Outcome:
        """The outcome of a request that costs nothing."""
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
        """Write the record of this request as one that never became an attempt; `window_id` is the
        budget window that refused it. `after_attempts`: unless an attempt is known as its end."""
        principal, outcome = self.principal, self.uncharged_outcome(error)
        options = self.options
        ending = Ending(
            final=True,
            status=error.status,
            kind=error.kind,
            message=kept_message(principal, error.kind, error.message),
            total_ms=outcome.total_ms,
            address=options.address,
        )
        labels = principal.attribution(options.labels, options.client_app)
        self.parts.ledger.settle(
            Refusal(
                organisation_id=principal.organisation_id,
                request_id=self.request_id,
                team_id=principal.team_id,
                key_id=principal.key_id,
                user_id=principal.user_id,
                model=ModelName(model[:MODEL_LENGTH_MAX]),
                dialect=self.invocation.codec.name,
                operation=self.invocation.operation,
                stream=stream,
                source=self.source,
                ending=ending,
                window_id=window_id,
                after_attempts=after_attempts,
                project=labels.project,
                tags=labels.tags,
                customer=labels.customer,
                client_app=labels.client_app,
                session_id=options.session_id,
            )
        )
        return outcome


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
) -> RequestContext:
    """The context of a request that the running task answers."""
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
    )
