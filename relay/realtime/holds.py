"""The holds of a realtime connection's responses: one is placed before a response may begin."""

from typing import Final

from relay.answers.attempt_end import AttemptEnd
from relay.context.context import RequestContext
from relay.downstream.downstream import ErrorAnswer
from relay.realtime.connection_holds import ConnectionHolds, EventRefused, Placed, RealtimeOver
from relay.realtime.conversation import Conversation
from relay.realtime.hold_sizes import FixedBound, ResponseBound, Used, response_bound
from relay.realtime.next_hold import Kind, NextHold
from relay.realtime.response import MeteredResponse, ResponseMeter

# The input that may follow a hold before its response begins: as much as 100 s of sound.
_ROOM_TOKENS: Final = 1_024


class ResponseHolds:
    """The holds of the responses of one connection of `model`. The hold of `first` was placed with
    the connection's request. `fixed_output` is the output limit of all responses, if the provider
    accepts no other."""

    __slots__ = ("_holds", "_next")

    def __init__(
        self,
        context: RequestContext,
        model: str,
        holds: ConnectionHolds,
        first: MeteredResponse,
        conversation: Conversation,
        fixed_output: int | None = None,
    ) -> None:
        self._holds = holds

        def bound_of(needed: int) -> ResponseBound | FixedBound:
            bound = response_bound(holds.newest, model).within(needed + _ROOM_TOKENS)
            return bound if fixed_output is None else bound.fixed(fixed_output)

        kind = Kind(
            lambda: conversation.tokens_max,
            bound_of,
            lambda bound: holds.wanted(model, bound),
            meter_response,
        )
        self._next = NextHold(context, holds, kind, first)

    async def next(self, *, asked: bool) -> MeteredResponse:
        """Return the next response that may begin. Raises RealtimeOver if no response may;
        EventRefused for a request limit if the client `asked` for the response."""
        return await self._next.next(asked=asked)

    async def take(self) -> MeteredResponse:
        """Return the response that begins now, whether or not the client asked for it. Raises
        RealtimeOver."""
        return await self._next.take()

    def release(self, error: ErrorAnswer | None, fault: str = "") -> None:
        """Release the hold of the next response, because none begins."""
        self._next.release(error, fault)

    async def place_used(self, model: str, unit: Used) -> MeteredResponse:
        """Place a hold for usage that is already known. Raises RealtimeOver."""
        try:
            placed = await self._holds.granted(self._holds.place(self._holds.wanted(model, unit)))
        except EventRefused as limited:
            raise RealtimeOver(limited.error) from None
        return meter_response(placed, ResponseBound(0, 0))

    def check_allowed(self, model: str) -> None:
        """Check that this key may use the model here. Raises RequestFault, ChannelsOut."""
        self._holds.find_upstream_model(self._holds.wanted(model, Used({})))


def meter_response(placed: Placed, bound: ResponseBound | FixedBound) -> MeteredResponse:
    """Return a response of this bound, whose hold is placed."""
    meter = ResponseMeter(placed.admitted)
    end = AttemptEnd(placed.context, placed.admitted, meter)
    return MeteredResponse(placed.context, placed.admitted, meter, end, bound)
