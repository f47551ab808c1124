"""How busy this process is, and whom it refuses for it: the shell of
`gateway/rules/load_shedding.py`."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from gateway.rules.load_shedding import MEASURED_EACH_S, UNDER_WAY_MIN, LoadShedding
from relay.database import Statement

log = logging.getLogger(__name__)

# While so few are under way that nobody is refused, a process that wakes up often only costs CPU.
_MEASURED_AT_REST_EACH_S: Final = 0.5


class Load:
    """The load of one process; `under_way` counts its requests."""

    def __init__(self, wait_s_max: float, under_way: Callable[[], int]) -> None:
        self._shedding = LoadShedding(wait_s_max)
        self._watched = wait_s_max > 0
        self._under_way = under_way
        # Those that no total counts yet.
        self._refused = 0

    def takes(self) -> bool:
        """Whether a request that has just come is to be answered; one that is not is counted."""
        taken = self._shedding.takes(self._under_way())
        self._refused += not taken
        return taken

    async def watch(self) -> None:
        """Measure for how long what is due waits for the event loop, again and again."""
        now, cpu = time.monotonic(), time.thread_time()
        while self._watched:
            rests = self._under_way() < UNDER_WAY_MIN
            each_s = _MEASURED_AT_REST_EACH_S if rests else MEASURED_EACH_S
            due, cpu_before = now + each_s, cpu
            await asyncio.sleep(each_s)
            # Everybody else has a turn: long turns and short ones follow each other.
            await asyncio.sleep(0)
            before, now, cpu = now, time.monotonic(), time.thread_time()
            limited = self._shedding.limit is not None
            busy = (cpu - cpu_before) / (now - before)
            self._shedding.measured(now - due, self._under_way(), busy, now)
            if limited != (self._shedding.limit is not None):
                self._tell()

    def _tell(self) -> None:
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
        """How many were refused since it was asked the last time."""
        refused, self._refused = self._refused, 0
        return refused

    def put_back(self, refused: int) -> None:
        """These could not be counted."""
        self._refused += refused


def count_refused(refused: int) -> Statement:
    """Add them to those of all processes; `gateway/traffic.py` reads the sum."""
    return _COUNT, {"refused": refused}


_COUNT: Final = """
    INSERT INTO gateway_traffictotal AS total (family, labels, value, counts)
    VALUES ('shed', '{}', %(refused)s::bigint, '{}')
    ON CONFLICT (family, labels) DO UPDATE SET value = total.value + excluded.value"""
