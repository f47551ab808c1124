"""Start requests, and their answers, in turn; the rules are in `relay/front/turn_order.py`."""

import asyncio
import time
from collections.abc import Callable

from relay.credentials.keys import Principal
from relay.front.turn_order import BEGUN_MAX, TurnQueue, next_allowance

# When a request began to wait, and the future that wakes it.
_Waiting = tuple[float, "asyncio.Future[None]"]


class Turns:
    """Holds back the requests of one process that may not begin yet. `under_way` is the number of
    all its requests; `is_shared` tells whether they are of several keys."""

    __slots__ = (
        "_allowance", "_counting", "_cpu_s", "_is_shared", "_left", "_loop", "_queue", "_under_way",
    )  # fmt: skip

    def __init__(self, under_way: Callable[[], int], is_shared: Callable[[], bool]) -> None:
        self._under_way = under_way
        self._is_shared = is_shared
        self._loop = asyncio.get_running_loop()
        self._queue = TurnQueue[_Waiting]()
        # How many requests may begin in a turn of the event loop, and in the rest of this turn.
        self._allowance = self._left = BEGUN_MAX
        # Whether the end of this turn will be noticed, and the CPU time at its beginning.
        self._counting = False
        self._cpu_s = 0.0

    async def begin(self, principal: Principal | None) -> None:
        """Wait until a request of this principal may begin. There is no wait in a process with
        little load, or with a single key. Callers without a key count as one organisation.
        """
        if not self._queue and (self._under_way() <= BEGUN_MAX or not self._is_shared()):
            # All of them may begin in one turn, or would only wait for their own key.
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
        """Return how long the oldest request has waited, in seconds."""
        since = min((since for since, _ in self._queue.oldest()), default=None)
        return 0.0 if since is None else self._loop.time() - since

    def _next_turn(self) -> None:
        before, self._cpu_s = self._cpu_s, time.thread_time()
        self._allowance = self._left = next_allowance(self._allowance, self._cpu_s - before)
        while self._left and self._queue:
            _, waiting = self._queue.take()
            # A cancelled request has left the queue.
            if not waiting.done():
                waiting.set_result(None)
                self._left -= 1
        self._counting = self._left < self._allowance
        if self._counting:
            self._loop.call_soon(self._next_turn)
