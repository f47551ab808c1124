"""The hold of what may begin next in a connection, for what it can read by then and say, limited by
the balance.

    no input --> hold --> input exceeds it --> replaced by another hold
                  |
                  +--> it begins --> the hold is its own

It is one request, however many holds it has had. A replaced hold is an attempt of that request that
has not begun; the transaction that places the next hold releases it.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from relay.context.context import RequestContext
from relay.downstream.downstream import ErrorAnswer
from relay.ledger.settlement import Settlement
from relay.realtime.connection_holds import (
    ConnectionHolds,
    EventRefused,
    Placed,
    RealtimeOver,
    Replaced,
    Wanted,
)
from relay.realtime.response import MeteredRequest


class InputBound(Protocol):
    """A bound that can be limited to less input. `is_full`: the input cannot grow further."""

    @property
    def context_tokens(self) -> int: ...
    @property
    def is_full(self) -> bool: ...


B = TypeVar("B", bound=InputBound)
R = TypeVar("R", bound=MeteredRequest[Any, Any])


class Kind(Generic[R, B]):
    """What may begin next: `needed` is the input in tokens that it can read now, `bound` its bound
    for that much, `wanted` its request for a bound, and `meter` what counts it once its hold is
    placed."""

    def __init__(
        self,
        needed: Callable[[], int],
        bound: Callable[[int], B],
        want: Callable[[B], Wanted],
        meter: Callable[[Placed, B], R],
    ) -> None:
        self.needed = needed
        self.bound = bound
        self.want = want
        self.meter = meter


class NextHold(Generic[R, B]):
    """The hold of one kind in one connection. `first` is already placed, None for none."""

    __slots__ = ("_context", "_free", "_holds", "_kind", "_placing")

    def __init__(
        self, context: RequestContext, holds: ConnectionHolds, kind: Kind[R, B], first: R | None
    ) -> None:
        self._context = context
        self._holds = holds
        self._kind = kind
        # The request that is held and has not begun. Only one is placed at a time.
        self._free = first
        self._placing = asyncio.Lock()

    async def next(self, *, asked: bool) -> R:
        """Return what may begin next. Raises RealtimeOver if nothing may; EventRefused for a
        request limit if the client `asked` for it."""
        async with self._placing:
            needed = self._kind.needed()
            held = self._free
            if held is not None and (needed <= held.bound.context_tokens or held.bound.is_full):
                return held
            limited = self._holds.limited
            if asked and limited is not None and self._context.time() < limited[0]:
                raise EventRefused(limited[1])
            try:
                placed = self._free = await self._holds.granted(self._place(needed, held))
            except (EventRefused, RealtimeOver) as refused:
                if held is not None and self._free is None and refused.error is not None:
                    held.refuse(refused.error)
                if asked or isinstance(refused, RealtimeOver):
                    raise
                raise RealtimeOver(refused.error) from None
            return placed

    async def take(self) -> R:
        """Return what begins now, whether or not the client asked for it. Raises RealtimeOver."""
        begun = await self.next(asked=False)
        self._free = None
        return begun

    def release(self, error: ErrorAnswer | None, fault: str = "") -> None:
        """Release the hold, because nothing begins."""
        if self._free is not None:
            self._free.release(error, fault)
            self._free = None

    async def _place(self, needed: int, replaced: R | None) -> R:
        """Place a hold; it replaces the hold of `replaced`, if given."""
        bound = self._kind.bound(needed)
        earlier = None
        if replaced is not None:
            give_way = partial(self._give_way, replaced)
            earlier = Replaced(replaced.request_id, replaced.number, give_way)
        placed = await self._holds.place(self._kind.want(bound), earlier)
        return self._kind.meter(placed, bound)

    def _give_way(self, replaced: R) -> Settlement:
        """Return the end of the hold that another one replaces."""
        self._free = None
        return replaced.give_way()
