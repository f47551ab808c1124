"""Write lines to a file descriptor from a thread of its own, so that no caller waits for a reader.

Whoever reads a log may stop: a terminal that is paused, a collector that hangs, a full pipe. A
write then blocks. Here it blocks one thread, which nothing else waits for. Lines wait in a bounded
queue; those that find it full are dropped and counted, and the log says how many once it is read
again.
"""

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

WAITING_BYTES_MAX: Final = 4 * 1024 * 1024
"""The size of the queue of one process."""
FLUSH_S: Final = 2.0
"""How long a process that ends waits at most until its lines are written."""
_WRITTEN_AT_ONCE: Final = 64 * 1024
_LOOK_EACH_S: Final = 0.005


class LineWriter:
    """The lines of one process to `descriptor`, in their order.

    `notice` composes the line that says how many were dropped. Only one thread at a time may call
    `put` (the lock of `logging.Handler` ensures that); it may be called again while it runs, by a
    signal handler or a finaliser.
    """

    def __init__(
        self,
        descriptor: int,
        notice: Callable[[int], str],
        waiting_bytes_max: int = WAITING_BYTES_MAX,
    ) -> None:
        self._descriptor = descriptor
        self._notice = notice
        self._waiting_bytes_max = waiting_bytes_max
        # Dropped in all; of these, how many the log has said, and how many somebody has counted.
        self._dropped = 0
        self._said = 0
        self._counted = 0
        self._closing_until: float | None = None
        self._begin()

    def _begin(self) -> None:
        """Start empty: in a new process, or in a fork, whose parent writes what waits there."""
        self._process = os.getpid()
        self._queue: SimpleQueue[bytes] = SimpleQueue()
        # Bytes: each number is changed by one thread alone.
        self._put = self._done = 0
        self._thread: threading.Thread | None = None

    def put(self, line: str) -> None:
        """Have this line written, without waiting; drop it where too much waits already."""
        raw = line.encode("utf-8", "backslashreplace") + b"\n"
        if self._process != os.getpid():
            self._begin()
        if self._put - self._done + len(raw) > self._waiting_bytes_max or not self._runs():
            self._dropped += 1
            return
        self._put += len(raw)
        self._queue.put(raw)
        if self._closing_until is not None:
            self._wait_until(self._closing_until)

    def flush(self, seconds: float = FLUSH_S) -> bool:
        """Wait until everything is written, so long at most. Returns whether it is."""
        return self._wait_until(time.monotonic() + seconds)

    def close(self, seconds: float = FLUSH_S) -> None:
        """Flush now, and each further line as it comes, so long in all: the process may be ended by
        a signal at any time from now on."""
        if self._closing_until is None:
            self._closing_until = time.monotonic() + seconds
        self._wait_until(self._closing_until)

    def take_dropped(self) -> int:
        """Return how many lines were dropped since the last call."""
        dropped = self._dropped - self._counted
        self._counted += dropped
        return dropped

    def put_back_dropped(self, dropped: int) -> None:
        """Have these returned again: they could not be counted."""
        self._counted -= dropped

    def _wait_until(self, end: float) -> bool:
        while self._process == os.getpid() and self._done < self._put:
            if time.monotonic() >= end:
                return False
            time.sleep(_LOOK_EACH_S)
        return True

    def _runs(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="log", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # The interpreter is ending.
                return False
            self._thread = thread
        return True

    def _run(self) -> None:
        queue = self._queue
        while True:
            lines = [queue.get()]
            size = len(lines[0])
            with contextlib.suppress(Empty):
                while size < _WRITTEN_AT_ONCE:
                    lines.append(queue.get_nowait())
                    size += len(lines[-1])
            if not self._write(b"".join(lines)):
                self._dropped += len(lines)
            self._done += size
            if queue.empty():
                self._say_dropped()

    def _say_dropped(self) -> None:
        dropped = self._dropped
        line = self._notice(dropped - self._said).encode() + b"\n" if dropped > self._said else b""
        if line and self._write(line):
            self._said = dropped

    def _write(self, raw: bytes) -> bool:
        """Write all of it, however long that takes. Returns False where nobody can read it."""
        rest = memoryview(raw)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                # Somebody who shares the descriptor has made it non-blocking.
                waiting = select.poll()
                waiting.register(self._descriptor, select.POLLOUT)
                waiting.poll()
            except OSError:
                return False
        return True
