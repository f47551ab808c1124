"""The holds of a realtime session's responses. Each is placed before a response may begin, for what
it can read by then and say, limited by the balance.

    no input --> hold --> input exceeds it --> replaced by another hold
                  |
                  +--> a response begins --> the hold is that response's

A response is one request, however many holds it has had. A replaced hold is an attempt of that
request that has not begun; the transaction that places the next hold releases it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from dialects.codec import Target
from dialects.errors.errors import RequestFault, message_of, retry_after_s
from lib.id_types import RequestId
from lib.ids import new_id
from relay.answers.unary import Billable
from relay.attempts.admitted_attempt import AdmittedAttempt, Chosen
from relay.attempts.attempt_end import AttemptEnd
from relay.errors import DatabaseFailed, RelayError
from relay.front.downstream import ErrorAnswer
from relay.front.error_answers import OVERLOADED, answer_to
from relay.front.limit_answers import ChannelFull, LimitReached
from relay.health.channels_out import ChannelsOut
from relay.holds.place_hold import HoldPlacer
from relay.media.realtime.conversation import Conversation
from relay.media.realtime.operation import (
    FixedBound,
    Realtime,
    ResponseBound,
    Used,
    response_bound,
)
from relay.media.realtime.response import MeteredResponse, ResponseMeter
from relay.requests.context import RequestContext
from relay.requests.reader import RequestReader
from relay.routing.routing import stay
from relay.routing.snapshot import Snapshot
from relay.upstream.upstream import UpstreamFailed

_FULL_WAIT_S: Final = 1.0
# The input that may follow a hold before its response begins: as much as 100 s of sound.
_ROOM_TOKENS: Final = 1_024


class SessionOver(RelayError):
    """The session ends; `error` is None if the client has left, or the upstream has closed
    normally.
    """

    def __init__(self, error: ErrorAnswer | None, failure: UpstreamFailed | None = None) -> None:
        super().__init__("" if error is None else error.message)
        self.error = error
        self.failure = failure


class EventRefused(RelayError):
    """A request limit is reached: an event is not forwarded."""

    def __init__(self, error: ErrorAnswer) -> None:
        super().__init__(error.message)
        self.error = error


class ResponseHolds:
    """The holds of one session. `first` was placed with the session's request, at its channel's
    `key`; `newest` returns the current snapshot. `fixed_output` is the output limit of all
    responses, where the provider can be told no other one.
    """

    __slots__ = (
        "_admitted", "_context", "_conversation", "_fixed_output", "_free", "_key", "_limited",
        "_newest", "_placing",
    )  # fmt: skip

    def __init__(
        self,
        context: RequestContext,
        admitted: AdmittedAttempt,
        key: int,
        first: MeteredResponse,
        conversation: Conversation,
        newest: Callable[[], Snapshot],
        fixed_output: int | None = None,
    ) -> None:
        self._context = context
        self._fixed_output = fixed_output
        self._admitted = admitted
        self._key = key
        self._conversation = conversation
        self._newest = newest
        # The response that is held and has not begun; one is placed at a time.
        self._free: MeteredResponse | None = first
        self._placing = asyncio.Lock()
        # Until when nothing more is admitted, and why (loop time).
        self._limited: tuple[float, ErrorAnswer] | None = None

    async def next(self, *, asked: bool) -> MeteredResponse:
        """Return the next response that may begin. Raises SessionOver if none may; EventRefused for
        a request limit, if the client `asked`.
        """
        async with self._placing:
            needed = self._conversation.tokens_max
            held = self._free
            if held is not None and (needed <= held.bound.context_tokens or held.bound.is_full):
                return held
            if asked and self._limited is not None and self._context.time() < self._limited[0]:
                raise EventRefused(self._limited[1])
            model = self._admitted.facts.model
            bound = self._bound(model, needed + _ROOM_TOKENS)
            try:
                placed = self._free = await self._granted(self._place(model, bound, bound, held))
            except (EventRefused, SessionOver) as refused:
                if held is not None and self._free is None and refused.error is not None:
                    held.refuse(refused.error)
                if asked or isinstance(refused, SessionOver):
                    raise
                raise SessionOver(refused.error) from None
            return placed

    def _bound(self, model: str, context_tokens: int) -> ResponseBound | FixedBound:
        bound = response_bound(self._newest(), model).within(context_tokens)
        return bound if self._fixed_output is None else bound.fixed(self._fixed_output)

    async def take(self) -> MeteredResponse:
        """Return the response that begins, whoever asked for it. Raises SessionOver."""
        response = await self.next(asked=False)
        self._free = None
        return response

    def release(self, error: ErrorAnswer | None, fault: str = "") -> None:
        """Release the hold, because no response begins."""
        if self._free is not None:
            self._free.break_off(error, fault)
            self._free = None

    async def place_used(self, model: str, unit: Used) -> MeteredResponse:
        """Place a hold for usage that is already known. Raises SessionOver."""
        try:
            return await self._granted(self._place(model, unit, ResponseBound(0, 0)))
        except EventRefused as limited:
            raise SessionOver(limited.error) from None

    def check_allowed(self, model: str) -> None:
        """Raise RequestFault for a model that this key may not use here."""
        context = self._next_context(model, Used({}))
        lookup = RequestReader(context).find_model(model)
        facts = self._operation(Used({})).read(b"{}", Target(lookup.name))
        stay(context, facts, lookup, self._admitted.channel.id)

    async def _granted(self, placing: Awaitable[MeteredResponse]) -> MeteredResponse:
        """Return the placed hold. Raises SessionOver, EventRefused."""
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
            raise SessionOver(answer_to(fault)) from None
        except DatabaseFailed:
            raise SessionOver(OVERLOADED) from None
        self._limited = self._context.time() + max(_FULL_WAIT_S, (wait_ms or 0) / 1000), error
        raise EventRefused(error)

    async def _place(
        self,
        model: str,
        unit: Billable,
        bound: ResponseBound | FixedBound,
        replaced: MeteredResponse | None = None,
    ) -> MeteredResponse:
        """Place the hold of another request of this session, at the current prices; or another hold
        for the request whose hold is `replaced`.
        """
        context, admitted = self._next_context(model, unit, replaced), self._admitted
        number = 1 if replaced is None else replaced.number + 1
        lookup = RequestReader(context).find_model(model)
        facts = self._operation(unit).read(b"{}", Target(lookup.name))
        routed = stay(context, facts, lookup, admitted.channel.id)
        channel = context.snapshot.channels[admitted.channel.id]
        if channel.key_ids != admitted.channel.key_ids:
            raise RequestFault("no_channel", None, "", model=model)
        candidate = routed.planned[0]
        placer = HoldPlacer(context, routed, lookup.alias)
        chosen = Chosen(candidate, candidate.why, self._key, ())
        replaces = None
        if replaced is not None:
            # From here on that hold no longer exists, whatever happens.
            self._free, replaces = None, replaced.give_way()
        try:
            hold = await placer.place(chosen, number, replaces)
        except DatabaseFailed:
            if replaces is not None:
                # It is unknown whether it was released, and by which transaction.
                context.parts.ledger.settle(replaces, at_once=False)
            raise
        return meter_response(
            context,
            msgspec.structs.replace(
                admitted, number=number, facts=facts, upstream_model=candidate.upstream_model,
                hold=hold,
            ),
            bound,
        )  # fmt: skip

    def _operation(self, unit: Billable) -> Realtime:
        operation = self._context.invocation.unary
        if not isinstance(operation, Realtime):
            raise TypeError("the operation is no session")
        return operation.with_unit(unit)

    def _next_context(
        self, model: str, unit: Billable, replaced: MeteredResponse | None = None
    ) -> RequestContext:
        context = self._context
        invocation = msgspec.structs.replace(
            context.invocation, target=Target(model), unary=self._operation(unit)
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


def meter_response(
    context: RequestContext, admitted: AdmittedAttempt, bound: ResponseBound | FixedBound
) -> MeteredResponse:
    """Return a response whose hold is placed, for this bound."""
    meter = ResponseMeter(admitted)
    end = AttemptEnd(context, admitted, meter)
    return MeteredResponse(context, admitted, meter, end, bound)
