"""What a piece of work costs this process and one of the database's: processor time, and how long
somebody waits for it."""

import time
from collections.abc import Callable
from typing import NamedTuple

from tests.bench.process import cpu_clock


class Cost(NamedTuple):
    """Milliseconds: of the web process and of the database's, means of all runs; and from the begin
    to the end, of the quickest of them, for others may use the machine."""

    own_ms: float
    database_ms: float
    wall_ms: float

    @property
    def cpu_ms(self) -> float:
        return self.own_ms + self.database_ms


def cost_of(
    work: Callable[[], object],
    backend: int,
    *,
    runs: int,
    before: Callable[[], object] = lambda: None,
    warm: bool = True,
) -> Cost:
    """The cost of some work whose statements the process `backend` runs; after one run more, where
    it should be `warm`."""
    if warm:
        before()
        work()
    own = database = 0.0
    walls = []
    for _ in range(runs):
        before()
        own_begun, database_begun = time.process_time(), seconds_of(backend)
        begun = time.perf_counter()
        work()
        walls.append(time.perf_counter() - begun)
        own += time.process_time() - own_begun
        database += seconds_of(backend) - database_begun
    return Cost(own / runs * 1000, database / runs * 1000, min(walls) * 1000)


def seconds_of(pid: int) -> float:
    """Of processor time that a process has used."""
    return time.clock_gettime(cpu_clock(pid))
