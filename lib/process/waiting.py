"""Time limits that exclude the time in which this process was suspended.

The machine, a debugger, SIGSTOP or a long blocking step can suspend a process. When it resumes, all
timers have expired before it reads the data that has arrived, although the other side was not late.
A timer that fires much later than it was due indicates this; the wait then starts again, once.
"""

import asyncio
import logging
from types import TracebackType
from typing import Final, Self

log = logging.getLogger(__name__)

AWAY_S: Final = 1.0
"""A timer later than this indicates that the process was suspended."""
# When the last line about it was logged, on the loop's clock: many timers notice the same
# suspension.
_logged_at = float("-inf")


def was_away(due: float, now: float) -> bool:
    """Return whether the process was suspended, judging by a timer that was due at `due` and fires
    at `now`.
    """
    global _logged_at
    if now - due <= AWAY_S:
        return False
    if not _logged_at <= now <= _logged_at + AWAY_S:
        _logged_at = now
        log.warning(
            "this process was away for at least %.1f s (frozen, or busy with one step): time "
            "limits that were over meanwhile begin once more",
            now - due,
        )
    return True


class timeout:
    """Like `asyncio.timeout`, without the time in which the process was suspended. Raises
    TimeoutError."""

    __slots__ = ("_limit", "_loop", "_seconds", "_timer", "_when")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._limit = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        await self._limit.__aenter__()
        self._when = self._loop.time() + self._seconds
        self._timer = self._loop.call_at(self._when, self._time_out)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        await self._limit.__aexit__(kind, error, traceback)

    def restart(self) -> None:
        """Start the wait again, because there was progress."""
        self._timer.cancel()
        self._when = self._loop.time() + self._seconds
        self._timer = self._loop.call_at(self._when, self._time_out)

    def _time_out(self) -> None:
        now = self._loop.time()
        if was_away(self._when, now):
            # Once: the next expiry is final.
            self._timer = self._loop.call_at(now + self._seconds, self._expire)
        else:
            self._expire()

    def _expire(self) -> None:
        self._limit.reschedule(self._loop.time())


class TimeLimit:
    """A time limit of a future, which then fails with TimeoutError. It excludes the time in which
    the process was suspended, like `timeout`, and costs less, because it ends no task."""

    __slots__ = ("_future", "_handle", "_loop", "_seconds", "_when")

    def __init__(self, future: "asyncio.Future[None]", seconds: float) -> None:
        self._future = future
        self._seconds = seconds
        self._loop = future.get_loop()
        self._when = self._loop.time() + seconds
        self._handle = self._loop.call_at(self._when, self._time_out)

    def stop(self) -> None:
        self._handle.cancel()

    def _time_out(self) -> None:
        now = self._loop.time()
        if was_away(self._when, now):
            # Once: the next expiry is final.
            self._handle = self._loop.call_at(now + self._seconds, self._expire)
        else:
            self._expire()

    def _expire(self) -> None:
        if not self._future.done():
            self._future.set_exception(TimeoutError())
