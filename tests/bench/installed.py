"""Weir as a user installs it: all that `make run` starts, with a database of its own.

A request costs there what it costs until its usage is summed up, less what the installation uses
while nobody asks.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from stack.ports import free_port
from tests.bench import hub
from tests.bench.client import Target, run
from tests.bench.measure import Figures
from tests.bench.process import BenchError, Process, cpu_ns, memory_kb
from tests.bench.systems import Ground
from tests.bench.works import INSTALLED_WORK, Pace
from tests.support.hub import Hub

_START_S = 120.0
_SUMMED_S = 300.0
_SLOTS = 5
# The last line that is printed when all of it has started.
_RUNS = "Ctrl-C stops it"


@dataclass(frozen=True)
class Installation:
    """A running one: how it is asked, and its books."""

    process: Process
    target: Target
    hub: Hub

    @property
    def roots(self) -> tuple[int, ...]:
        return (self.process.pid,)

    def await_sums(self) -> None:
        """Return when every request is in a sum. BenchError."""
        _await(self.process, lambda: self._unsummed() == 0, _SUMMED_S, "requests are not summed up")

    def _unsummed(self) -> int:
        (row,) = self.hub.rows(
            "SELECT (SELECT count(*) FROM usage_usagerecord WHERE final)"
            " - (SELECT coalesce(sum(requests), 0) FROM usage_rollup) AS left_over"
        )
        return int(row["left_over"])


@contextmanager
def installed(ground: Ground) -> Iterator[Installation]:
    """Start it, with a customer and the fake provider's model."""
    data, port = ground.folder / "installed", free_port()
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    process = Process(
        [sys.executable, "-m", "stack.up"],
        ground.folder / "installed.log",
        environment={**environment, "DATA_DIR": str(data), "PORT": str(port)},
        folder=hub.ROOT,
    )
    try:
        _await(process, lambda: _RUNS in process.log.read_text(), _START_S, "it does not start")
        books = Hub((data / "run" / "DATABASE_URL").read_text().strip(), port=port)
        try:
            books.settings()
            yield Installation(process, hub.customer(books, ground.fake), books)
        finally:
            books.close()
    finally:
        process.stop()


def idle(installation: Installation, seconds: float) -> Figures:
    """What it uses while nobody asks: CPU in percent of a core, memory in MB."""
    before = cpu_ns(installation.roots)
    time.sleep(seconds)
    used = cpu_ns(installation.roots) - before
    return {
        "cpu_percent": used / seconds / 1e7,
        "memory_mb": memory_kb(installation.roots) / 1024,
    }


def loaded(installation: Installation, pace: Pace, idle_percent: float) -> Figures:
    """CPU of a request in µs until it is summed up, less what is used without it."""
    began, before = time.monotonic(), cpu_ns(installation.roots)
    load = pace.load(INSTALLED_WORK, installation.target.model)
    # What a job costs each time that it runs is shared out among many requests.
    load = replace(load, warm_s=0.0, seconds=_SLOTS * load.seconds)
    taken = run(installation.target, load)
    installation.await_sums()
    used_ns = cpu_ns(installation.roots) - before
    idle_ns = (time.monotonic() - began) * idle_percent * 1e7
    installation.hub.assert_books_balance()
    return {"cpu_us": (used_ns - idle_ns) / 1e3 / taken.count, "requests": float(taken.count)}


def _await(process: Process, holds: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not holds():
        process.check_alive()
        if time.monotonic() > end:
            raise BenchError(f"weir as installed: {what}")
        time.sleep(0.5)
