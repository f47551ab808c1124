"""Lets requests, and their answers, begin in turn: the shell of `relay/front/turn_order.py`."""

import asyncio
import time
from collections.abc import Callable

from relay.credentials.keys import Principal
from relay.front.turn_order import BEGUN_MAX, TurnQueue, next_allowance

# Since when a request waits, and what wakes it.
_Waiting = tuple[float, "asyncio.Future[None]"]


class Turns:
    """The requests of one process that may not begin yet; `under_way` counts all that it has, and
    `is_shared` says whether they are of several keys."""

    __slots__ = (
        "_allowance", "_counting", "_cpu_s", "_is_shared", "_left", "_loop", "_queue", "_under_way",
    )  # fmt: skip

    def __init__(self, under_way: Callable[[], int], is_shared: Callable[[], bool]) -> None:
        self._under_way = under_way
        self._is_shared = is_shared
        self._loop = asyncio.get_running_loop()
        self._queue = TurnQueue[_Waiting]()
        # How many may begin in a turn of the event loop, and in this turn still.
        self._allowance = self._left = BEGUN_MAX
        # Whether the end of this turn will be noticed, and the CPU time at its beginning.
        self._counting = False
        self._cpu_s = 0.0

    async def begin(self, principal: Principal | None) -> None:
        """Wait until a request of this principal may begin, not at all in a process that has little
        to do, or works for one key alone. Those who need no key are one organisation."""
        if not self._queue and (self._under_way() <= BEGUN_MAX or not self._is_shared()):
            # All of them may begin in one turn, or would wait for their own key alone.
            return
        if not self._counting:
            self._counting = True
            self._cpu_s = time.thread_time()
            self._loop.call_soon(self._next_turn)
        if self._left and not self._queue:
            self._left -= 1
            return
        waiting = self._loop.create_future()
        item = (self._loop.time(), waiting)
        if principal is None:
            self._queue.put(None, None, item)
        else:
            self._queue.put(principal.organisation_id, principal.key_id, item)
        await waiting

    def longest_wait_s(self) -> float:
        """For how long the request that has waited longest has done so."""
        since = min((since for since, _ in self._queue.oldest()), default=None)
        return 0.0 if since is None else self._loop.time() - since

    def _next_turn(self) -> None:
        before, self._cpu_s = self._cpu_s, time.thread_time()
        self._allowance = self._left = next_allowance(self._allowance, self._cpu_s - before)
        while self._left and self._queue:
            _, waiting = self._queue.take()
            # One that was cancelled has left its place.
            if not waiting.done():
                waiting.set_result(None)
                self._left -= 1
        self._counting = self._left < self._allowance
        if self._counting:
            self._loop.call_soon(self._next_turn)
