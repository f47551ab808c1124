"""Signs of life on a stream that is silent, so that nobody on the way closes it.

A ping before the first content commits the status and nothing else: another channel may still
answer, and a failure is then told inside the stream.
"""

import asyncio
from collections.abc import Awaitable, Callable


class KeepAlive:
    """Pings after every `every_s` of silence. `heard_at` is moved by whoever writes (loop time)."""

    __slots__ = ("_every_s", "_loop", "_ping", "_task", "_timer", "heard_at")

    def __init__(self, ping: Callable[[], Awaitable[None]], every_s: float) -> None:
        self._ping = ping
        self._every_s = every_s
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Future[None] | None = None
        self.heard_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(every_s, self._look)

    def stop(self) -> None:
        """No more pings."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()

    def _look(self) -> None:
        due = self.heard_at + self._every_s
        now = self._loop.time()
        if now >= due and (self._task is None or self._task.done()):
            self._task = asyncio.ensure_future(self._ping())
            self.heard_at = now
        self._timer = self._loop.call_at(self.heard_at + self._every_s, self._look)
