"""The holds of an open connection, for the requests after its first one: at the same channel and
key, at the prices when they are placed."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec

from dialects.codec import Target
from dialects.errors.errors import RequestFault, message_of, retry_after_s
from lib.id_types import RequestId
from lib.ids import new_id
from relay.attempts.request_reader import RequestReader
from relay.catalogue.snapshot import Snapshot
from relay.context.context import RequestContext
from relay.downstream.downstream import ErrorAnswer
from relay.downstream.error_answers import OVERLOADED, answer_to
from relay.downstream.limit_answers import ChannelFull, LimitReached
from relay.errors import DatabaseFailed, RelayError
from relay.health.channels_out import ChannelsOut
from relay.holds.admitted_attempt import AdmittedAttempt, Chosen
from relay.holds.place_hold import HoldPlacer
from relay.ledger.settlement import Settlement
from relay.operations.unary import Billable, UnaryOperation
from relay.requests.invocation import Invocation
from relay.routing.routing import stay
from relay.upstream.failures import UpstreamFailed

_FULL_WAIT_S: Final = 1.0

P = TypeVar("P")


class RealtimeOver(RelayError):
    """The connection ends; `error` is None if the client has left, or the upstream has closed
    normally.
    """

    def __init__(self, error: ErrorAnswer | None, failure: UpstreamFailed | None = None) -> None:
        super().__init__("" if error is None else error.message)
        self.error = error
        self.failure = failure


class EventRefused(RelayError):
    """A request limit is reached, so the event is not forwarded."""

    def __init__(self, error: ErrorAnswer) -> None:
        super().__init__(error.message)
        self.error = error


class Wanted(msgspec.Struct, frozen=True):
    """A request on an open connection: the operation that bills it, the model, and the invocation.
    The body `raw` says what may be charged."""

    model: str
    unary: UnaryOperation
    invocation: Invocation
    raw: bytes = b"{}"


class Replaced(msgspec.Struct, frozen=True):
    """A hold that another hold of the same request replaces: its number, and its end."""

    request_id: RequestId
    number: int
    give_way: Callable[[], Settlement]


class Placed(msgspec.Struct, frozen=True):
    """A request whose hold is placed."""

    context: RequestContext
    admitted: AdmittedAttempt


class ConnectionHolds:
    """Places the holds of one connection. `admitted` is the connection's first attempt, at the
    channel's `key`; `newest` returns the current snapshot; `operation` makes the operation for a
    way to bill."""

    __slots__ = ("_admitted", "_context", "_key", "_newest", "_operation", "limited")

    def __init__(
        self,
        context: RequestContext,
        admitted: AdmittedAttempt,
        key: int,
        newest: Callable[[], Snapshot],
        operation: Callable[[Billable], UnaryOperation],
    ) -> None:
        self._context = context
        self._admitted = admitted
        self._key = key
        self._newest = newest
        self._operation = operation
        # The time until which nothing more is admitted (loop time), and the reason.
        self.limited: tuple[float, ErrorAnswer] | None = None

    @property
    def newest(self) -> Snapshot:
        """The current snapshot."""
        return self._newest()

    def wanted(self, model: str, unit: Billable) -> Wanted:
        """Return a request of this connection for a model, billed by `unit`."""
        return Wanted(model, self._operation(unit), self._context.invocation)

    def find_upstream_model(self, wanted: Wanted) -> str:
        """Return the channel's name for a model. Raises RequestFault, ChannelsOut if this key may
        not use the model here, or not in this way."""
        context = self._next_context(wanted, None)
        lookup = RequestReader(context).find_model(wanted.model)
        facts = wanted.unary.read(wanted.raw, Target(lookup.name))
        routed = stay(context, facts, lookup, self._admitted.channel.id)
        return routed.planned[0].upstream_model or lookup.name

    async def granted(self, placing: Awaitable[P]) -> P:
        """Wait for a hold to be placed and return it. Raises RealtimeOver, EventRefused."""
        try:
            return await placing
        except LimitReached as fault:
            error, wait_ms = answer_to(fault), fault.wait_ms
        except ChannelFull as full:
            wait_ms = full.wait_ms
            seconds = retry_after_s(wait_ms or 0)
            message = message_of("rate_limited", "the channel of the model", seconds=seconds)
            error = ErrorAnswer("rate_limited", 429, message)
        except (RequestFault, ChannelsOut) as fault:
            raise RealtimeOver(answer_to(fault)) from None
        except DatabaseFailed:
            raise RealtimeOver(OVERLOADED) from None
        self.limited = self._context.time() + max(_FULL_WAIT_S, (wait_ms or 0) / 1000), error
        raise EventRefused(error)

    async def place(self, wanted: Wanted, replaced: Replaced | None = None) -> Placed:
        """Place the hold of another request of this connection at the current prices; or, if
        `replaced` is given, another hold of the same request. Raises RequestFault, ChannelsOut,
        LimitReached, ChannelFull, DatabaseFailed."""
        context, admitted = self._next_context(wanted, replaced), self._admitted
        number = 1 if replaced is None else replaced.number + 1
        lookup = RequestReader(context).find_model(wanted.model)
        facts = wanted.unary.read(wanted.raw, Target(lookup.name))
        routed = stay(context, facts, lookup, admitted.channel.id)
        channel = context.snapshot.channels[admitted.channel.id]
        if channel.key_ids != admitted.channel.key_ids:
            raise RequestFault("no_channel", None, "", model=wanted.model)
        candidate = routed.planned[0]
        placer = HoldPlacer(context, routed, lookup.alias)
        chosen = Chosen(candidate, candidate.why, self._key, ())
        # From here on the replaced hold no longer exists, whatever happens.
        replaces = None if replaced is None else replaced.give_way()
        try:
            hold = await placer.place(chosen, number, replaces)
        except DatabaseFailed:
            if replaces is not None:
                # It is unknown whether the replaced hold was released, and by which transaction.
                context.parts.ledger.settle(replaces, at_once=False)
            raise
        return Placed(
            context,
            msgspec.structs.replace(
                admitted, number=number, facts=facts, upstream_model=candidate.upstream_model,
                hold=hold,
            ),
        )  # fmt: skip

    def _next_context(self, wanted: Wanted, replaced: Replaced | None) -> RequestContext:
        context = self._context
        invocation = msgspec.structs.replace(
            wanted.invocation, target=Target(wanted.model), unary=wanted.unary
        )
        return RequestContext(
            context.parts,
            self._newest(),
            context.principal,
            context.downstream,
            context.deadline,
            invocation,
            request_id=RequestId(new_id()) if replaced is None else replaced.request_id,
            source=context.source,
            options=context.options,
        )
