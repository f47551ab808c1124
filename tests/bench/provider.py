"""The fake provider in a process of its own."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import hub
from tests.bench.process import BenchError, Process
from tests.fakes.upstream import FakeUpstream

_START_S = 20.0


@contextmanager
def started_provider(folder: Path) -> Iterator[FakeUpstream]:
    """One that answers, with its books below `folder`. BenchError."""
    books = folder / "provider"
    log = folder / "provider.log"
    command = [sys.executable, "-m", "tests.fakes.upstream", "--books", str(books)]
    process = Process([*command, "--name", "bench", "--no-fsync"], log, folder=hub.ROOT)
    try:
        end = time.monotonic() + _START_S
        while not log.read_text().strip().isdecimal():
            process.check_alive()
            if time.monotonic() > end:
                raise BenchError("the fake provider does not start")
            time.sleep(0.05)
        yield FakeUpstream("bench", books_dir=books, port=int(log.read_text()))
    finally:
        process.stop()
