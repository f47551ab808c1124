"""Receivers that customers name and that are slow to answer. A process tries few of them at a time,
so that they do not hold the threads that send to all others and run the other jobs."""

import threading
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Final

_SLOW_S: Final = 2.0
# A worker has eight threads by default, that of `make run` four.
_SLOW_AT_ONCE: Final = 2


class Attempts:
    """The attempts of one process. A receiver is slow if the last attempt that ended took long."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slow: set[Hashable] = set()
        self._held = 0

    @contextmanager
    def attempt(self, receiver: Hashable | None) -> Iterator[bool]:
        """Yield whether an attempt may begin. It may not while as many slow receivers as allowed
        are tried. None is never slow."""
        if receiver is None:
            yield True
            return
        with self._lock:
            slow = receiver in self._slow
            if may := not slow or self._held < _SLOW_AT_ONCE:
                self._held += slow
        if not may:
            yield False
            return
        begun = time.monotonic()
        try:
            yield True
        finally:
            with self._lock:
                self._held -= slow
                if time.monotonic() - begun > _SLOW_S:
                    self._slow.add(receiver)
                else:
                    self._slow.discard(receiver)


ATTEMPTS: Final = Attempts()
