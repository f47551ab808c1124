"""Write lines to a file descriptor so that a stopped reader blocks no caller (P34).

A reader of a log may stop: a paused terminal, a hanging collector. Its pipe fills, and a write then
blocks for as long as that lasts. Therefore a separate thread writes to pipes, sockets and
terminals. Lines wait for it in a bounded queue; a line that finds the queue full is dropped and
counted, and the log reports the number once it is read again.

A regular file has no reader to wait for. Its lines are written immediately, and a process that is
killed loses none.
"""

import contextlib
import os
import select
import stat
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

WAITING_BYTES_MAX: Final = 4 * 1024 * 1024
"""The size of the queue of one process."""
CLOSE_S: Final = 2.0
"""How long a process that ends waits at most until its lines are written."""
_BATCH_BYTES: Final = 64 * 1024
_LOOK_EACH_S: Final = 0.005


class LineWriter:
    """Writes the lines of one process to `descriptor`, in order. `compose_notice` makes the line
    that reports how many were dropped. Only one thread at a time may call `put` (the lock of
    `logging.Handler` ensures that). A signal handler may call `put` during another call, so the
    queue is a SimpleQueue."""

    def __init__(
        self,
        descriptor: int,
        compose_notice: Callable[[int], str],
        waiting_bytes_max: int = WAITING_BYTES_MAX,
    ) -> None:
        self._descriptor = descriptor
        self._compose_notice = compose_notice
        self._waiting_bytes_max = waiting_bytes_max
        self.dropped = 0
        """The number of dropped lines so far."""
        self._announced = 0
        self._close_at: float | None = None
        self._start_empty()

    def _start_empty(self) -> None:
        """Begin with an empty queue in a new process or a fork, because the parent writes its own
        lines."""
        self._process = os.getpid()
        self._queue: SimpleQueue[bytes] = SimpleQueue()
        # Bytes queued, and bytes written. Each is changed by one thread only.
        self._put_bytes = self._done_bytes = 0
        self._thread: threading.Thread | None = None

    @property
    def waiting_bytes(self) -> int:
        return self._put_bytes - self._done_bytes

    def put(self, line: str) -> None:
        """Write or queue this line, without waiting; drop it if the queue is full."""
        raw = line.encode("utf-8", "backslashreplace") + b"\n"
        if self._process != os.getpid():
            self._start_empty()
        if not self.waiting_bytes and self._is_file():
            self.dropped += not self._write(raw)
            return
        # Python runs signal handlers after a call. A call within the addition below would lose what
        # a handler adds.
        size = len(raw)
        if self.waiting_bytes + size > self._waiting_bytes_max or not self._thread_runs():
            self.dropped += 1
            return
        self._put_bytes += size
        self._queue.put(raw)
        if self._close_at is not None:
            self._wait_until(self._close_at)

    def close(self, seconds: float = CLOSE_S) -> None:
        """Wait until all lines are written, for at most `seconds`. From now on `put` waits for its
        line within the same limit, because a signal may end the process at any moment."""
        if self._close_at is None:
            self._close_at = time.monotonic() + seconds
        self._wait_until(self._close_at)

    def _wait_until(self, end: float) -> None:
        while self._process == os.getpid() and self.waiting_bytes and time.monotonic() < end:
            time.sleep(_LOOK_EACH_S)

    def _is_file(self) -> bool:
        try:
            return stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        except OSError:
            return False

    def _thread_runs(self) -> bool:
        if self._thread is None:
            # Set before the start, during which a signal handler may need it: two threads would
            # change the order of lines.
            self._thread = threading.Thread(target=self._run, name="log", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:
                # The interpreter is ending.
                self._thread = None
                return False
        return True

    def _run(self) -> None:
        queue = self._queue
        while True:
            lines = [queue.get()]
            size = len(lines[0])
            with contextlib.suppress(Empty):
                while size < _BATCH_BYTES:
                    lines.append(queue.get_nowait())
                    size += len(lines[-1])
            if not self._write(b"".join(lines)):
                self.dropped += len(lines)
            if queue.empty():
                self._announce_dropped()
            self._done_bytes += size

    def _announce_dropped(self) -> None:
        new = self.dropped - self._announced
        if new and self._write(self._compose_notice(new).encode() + b"\n"):
            self._announced += new

    def _write(self, raw: bytes) -> bool:
        """Write all bytes, however long that takes. Return False if the descriptor cannot be
        written."""
        rest = memoryview(raw)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                # Another process that shares the descriptor has made it non-blocking.
                select.select([], [self._descriptor], [])
            except OSError:
                return False
        return True
