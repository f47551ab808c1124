"""Measures how busy this process is, refuses requests when it is overloaded, and starts the others
in turn; the rules are in `relay/load/load_shedding.py` and `relay/load/turn_order.py`.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from random import uniform
from typing import Final

from relay.credentials.keys import Principal
from relay.load.load_shedding import MEASURED_EACH_S, UNDER_WAY_MIN, LoadShedding, is_within_share
from relay.load.turn_order import (
    AHEAD_MAX,
    BEGUN_MAX,
    TURNS_EACH,
    TurnQueue,
    find_few,
    next_allowance,
)

log = logging.getLogger(__name__)

# When a request began to wait, and the future that wakes it.
_Waiting = tuple[float, "asyncio.Future[None]"]
_NO_PAYER: Final = (0, 0)


class Load:
    """The load of one process. `under_way` is the number of running requests; `turn_wait_s` is how
    long the next request has waited to begin."""

    def __init__(
        self, wait_s_max: float, under_way: Callable[[], int], turn_wait_s: Callable[[], float]
    ) -> None:
        self._shedding = LoadShedding(wait_s_max)
        self._watched = wait_s_max > 0
        self._under_way = under_way
        self._turn_wait_s = turn_wait_s
        # The running requests of each key, by its organisation. Callers without a key count as one
        # organisation.
        self._organisations: dict[int, dict[int, int]] = {}
        self._keys = 0
        # The number of running requests from which refusals are possible.
        self._crowded = asyncio.Event()
        # Refusals that are not yet counted in a total.
        self._refused = 0

    def enter(self, principal: Principal | None) -> bool:
        """Count a running request. Return True if it may be answered; its end must then be reported
        by `leave`. False means that it was counted as refused."""
        beside = self._under_way() - 1
        if beside >= UNDER_WAY_MIN:
            self._crowded.set()
        organisation_id, key_id = _NO_PAYER if principal is None else principal.payer
        keys = self._organisations.get(organisation_id, {})
        of_key = keys.get(key_id, 0)

        def within_share(limit: float) -> bool:
            others = [
                sum(each.values()) for each in self._organisations.values() if each is not keys
            ]
            other_keys = [count for other, count in keys.items() if other != key_id]
            return is_within_share(limit, of_key, other_keys, others)

        taken = self._shedding.admits(beside, within_share)
        if taken:
            self._keys += not of_key
            keys[key_id] = of_key + 1
            self._organisations[organisation_id] = keys
        else:
            self._refused += 1
        return taken

    def count(self, principal: Principal | None) -> None:
        """Count what runs on after the request that `enter` permitted, until `leave`."""
        organisation_id, key_id = _NO_PAYER if principal is None else principal.payer
        keys = self._organisations.setdefault(organisation_id, {})
        of_key = keys.get(key_id, 0)
        self._keys += not of_key
        keys[key_id] = of_key + 1

    def leave(self, principal: Principal | None) -> None:
        """Count the end of a request that `enter` permitted, or of what runs on after it."""
        organisation_id, key_id = _NO_PAYER if principal is None else principal.payer
        keys = self._organisations[organisation_id]
        keys[key_id] -= 1
        if not keys[key_id]:
            self._keys -= 1
            del keys[key_id]
            if not keys:
                del self._organisations[organisation_id]

    def is_shared(self) -> bool:
        """Return whether requests of more than one key are running."""
        return self._keys > 1

    def come_again_ms(self) -> int:
        """Return the milliseconds after which a refused client should retry. The times differ, so
        that clients do not return together."""
        return int(1000 * self._shedding.come_again_s() * uniform(0.5, 1.5))

    async def watch(self, serve_apart: Callable[[AbstractSet[int]], None]) -> None:
        """Measure repeatedly how long ready callbacks wait for the event loop, and tell
        `serve_apart` which organisations (`UUID.int`) have few requests beside the others. Measure
        only while many requests are running, so that an idle process is not woken."""
        while self._watched:
            await self._crowded.wait()
            await self._watch_crowd(serve_apart)
            serve_apart(frozenset())

    async def _watch_crowd(self, serve_apart: Callable[[AbstractSet[int]], None]) -> None:
        shedding, now, cpu = self._shedding, time.monotonic(), time.thread_time()
        while self._crowded.is_set():
            due, cpu_before = now + MEASURED_EACH_S, cpu
            await asyncio.sleep(MEASURED_EACH_S)
            # Let every other callback run: long and short turns alternate.
            await asyncio.sleep(0)
            before, now, cpu = now, time.monotonic(), time.thread_time()
            under_way, limited = self._under_way(), shedding.limit is not None
            busy = (cpu - cpu_before) / (now - before)
            wait_s = now - due + self._turn_wait_s() / TURNS_EACH
            shedding.measured(wait_s, under_way, busy, now)
            serve_apart(self._find_few())
            if limited != (shedding.limit is not None):
                self._log_limit()
            if under_way < UNDER_WAY_MIN and shedding.limit is None:
                self._crowded.clear()

    def _find_few(self) -> AbstractSet[int]:
        return find_few({id: sum(keys.values()) for id, keys in self._organisations.items() if id})

    def _log_limit(self) -> None:
        if self._shedding.limit is None:
            log.warning("all requests are taken again")
        else:
            log.warning(
                "too busy: each step of the %d requests under way waits for %d ms, so a part of "
                "the new ones is refused",
                self._under_way(),
                self._shedding.wait_s * 1000,
            )

    def take_refused(self) -> int:
        """Return how many requests were refused since the last call."""
        refused, self._refused = self._refused, 0
        return refused

    def put_back(self, refused: int) -> None:
        """Add back refusals that could not be written to the database."""
        self._refused += refused


class Turns:
    """Holds back the requests of one process that may not begin yet. `under_way` is the number of
    all its requests; `is_shared` tells whether they are of several keys. While not `counting`,
    `begin` would not wait."""

    __slots__ = (
        "_ahead", "_allowance", "_cpu_s", "_is_shared", "_left", "_loop", "_queue", "_under_way",
        "counting",
    )  # fmt: skip

    def __init__(self, under_way: Callable[[], int], is_shared: Callable[[], bool]) -> None:
        self._under_way = under_way
        self._is_shared = is_shared
        self._loop = asyncio.get_running_loop()
        self._queue = TurnQueue[_Waiting]()
        # How many requests may begin in a turn of the event loop, and in the rest of this turn.
        self._allowance = self._left = BEGUN_MAX
        # How many requests of each organisation have begun ahead of the queue in this turn.
        self._ahead: Counter[int] = Counter()
        # Whether the end of this turn will be noticed, and the CPU time at its beginning.
        self.counting = False
        self._cpu_s = 0.0

    async def begin(self, principal: Principal | None) -> None:
        """Wait until a request of this principal may begin. There is no wait in a process with
        little load, or with a single key. Callers without a key count as one organisation.
        """
        if not self._queue.size and (not self._is_shared() or self._under_way() <= BEGUN_MAX):
            # They would only wait for their own key, or may all begin in one turn.
            return
        if not self.counting:
            self.counting = True
            self._cpu_s = time.thread_time()
            self._loop.call_soon(self._next_turn)
        organisation_id, key_id = _NO_PAYER if principal is None else principal.payer
        if self._queue.size:
            if self._may_go_ahead(organisation_id, key_id):
                self._ahead[organisation_id] += 1
                return
        elif self._left:
            self._left -= 1
            return
        waiting = self._loop.create_future()
        self._queue.put(organisation_id, key_id, (self._loop.time(), waiting))
        await waiting

    def _may_go_ahead(self, organisation_id: int, key_id: int) -> bool:
        """Return whether a request need not wait behind others: none of its key waits, and few have
        gone ahead in this turn. If it waited, it would begin two turns of the event loop later,
        even as the next one."""
        return (
            not self._queue.has(organisation_id, key_id)
            and self._ahead[organisation_id] < AHEAD_MAX
            and self._ahead.total() < BEGUN_MAX
        )

    def longest_wait_s(self) -> float:
        """Return how long the oldest request has waited, in seconds."""
        since = min((since for since, _ in self._queue.oldest()), default=None)
        return 0.0 if since is None else self._loop.time() - since

    def _next_turn(self) -> None:
        before, self._cpu_s = self._cpu_s, time.thread_time()
        self._allowance = self._left = next_allowance(self._allowance, self._cpu_s - before)
        while self._left and self._queue.size:
            _, waiting = self._queue.take()
            # A cancelled request has left the queue.
            if not waiting.done():
                waiting.set_result(None)
                self._left -= 1
        self.counting = self._left < self._allowance or bool(self._ahead)
        self._ahead.clear()
        if self.counting:
            self._loop.call_soon(self._next_turn)
