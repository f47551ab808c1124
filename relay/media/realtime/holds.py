"""The holds of a realtime session's responses. Each is placed before a response may begin, for what
it can read by then and say, limited by the balance.

    no input --> hold --> input exceeds it --> replaced by another hold
                  |
                  +--> a response begins --> the hold is that response's

A response is one request, however many holds it has had. A replaced hold is an attempt of that
request that has not begun; the transaction that places the next hold releases it.
"""

import asyncio
from functools import partial
from typing import Final

from relay.answers.unary import Billable
from relay.attempts.admitted_attempt import AdmittedAttempt
from relay.attempts.attempt_end import AttemptEnd
from relay.attempts.settlement import Settlement
from relay.front.downstream import ErrorAnswer
from relay.media.realtime.conversation import Conversation
from relay.media.realtime.operation import ResponseBound, Used, response_bound
from relay.media.realtime.response import MeteredResponse, ResponseMeter
from relay.media.realtime.session_holds import EventRefused, Replaced, SessionHolds, SessionOver
from relay.requests.context import RequestContext

# The input that may follow a hold before its response begins: as much as 100 s of sound.
_ROOM_TOKENS: Final = 1_024


class ResponseHolds:
    """The holds of one session's responses of `model`. `first` was placed with the session's
    request.
    """

    __slots__ = ("_context", "_conversation", "_free", "_holds", "_model", "_placing")

    def __init__(
        self,
        context: RequestContext,
        model: str,
        holds: SessionHolds,
        first: MeteredResponse,
        conversation: Conversation,
    ) -> None:
        self._context = context
        self._model = model
        self._holds = holds
        self._conversation = conversation
        # The response that is held and has not begun; one is placed at a time.
        self._free: MeteredResponse | None = first
        self._placing = asyncio.Lock()

    async def next(self, *, asked: bool) -> MeteredResponse:
        """Return the next response that may begin. Raises SessionOver if none may; EventRefused for
        a request limit, if the client `asked`.
        """
        async with self._placing:
            needed = self._conversation.tokens_max
            held = self._free
            if held is not None and (needed <= held.bound.context_tokens or held.bound.is_full):
                return held
            limited = self._holds.limited
            if asked and limited is not None and self._context.time() < limited[0]:
                raise EventRefused(limited[1])
            model = self._model
            bound = response_bound(self._holds.newest, model).within(needed + _ROOM_TOKENS)
            try:
                placed = self._free = await self._holds.granted(
                    self._place(model, bound, bound, held)
                )
            except (EventRefused, SessionOver) as refused:
                if held is not None and self._free is None and refused.error is not None:
                    held.refuse(refused.error)
                if asked or isinstance(refused, SessionOver):
                    raise
                raise SessionOver(refused.error) from None
            return placed

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
            return await self._holds.granted(self._place(model, unit, ResponseBound(0, 0)))
        except EventRefused as limited:
            raise SessionOver(limited.error) from None

    def check_allowed(self, model: str) -> None:
        """Raise RequestFault, ChannelsOut for a model that this key may not use here."""
        self._holds.find_upstream_model(self._holds.wanted(model, Used({})))

    async def _place(
        self,
        model: str,
        unit: Billable,
        bound: ResponseBound,
        replaced: MeteredResponse | None = None,
    ) -> MeteredResponse:
        """Place a hold, in the place of that of `replaced`."""
        earlier = None
        if replaced is not None:
            give_way = partial(self._give_way, replaced)
            earlier = Replaced(replaced.request_id, replaced.number, give_way)
        placed = await self._holds.place(self._holds.wanted(model, unit), earlier)
        return meter_response(placed.context, placed.admitted, bound)

    def _give_way(self, replaced: MeteredResponse) -> Settlement:
        """Return the end of the free hold, which exists no longer."""
        self._free = None
        return replaced.give_way()


def meter_response(
    context: RequestContext, admitted: AdmittedAttempt, bound: ResponseBound
) -> MeteredResponse:
    """Return a response whose hold is placed, for this bound."""
    meter = ResponseMeter(admitted)
    end = AttemptEnd(context, admitted, meter)
    return MeteredResponse(context, admitted, meter, end, bound)
