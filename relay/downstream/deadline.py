"""The reasons to interrupt a waiting request: its time is over, its client has left, or its key or
its session has ended.

There is one timer per request, moved by an assignment, so that a stream of thousands of chunks
creates no timer per chunk. When the time is over the task is cancelled, and `caught` returns the
reason.

The time in which this process itself was suspended (lib/process/waiting.py) does not count: a step
starts once more after it.
"""

import asyncio
from typing import Literal

from lib.process.waiting import was_away
from relay.credentials.revocation import EndReason

Reason = Literal["first_content", "idle", "total", "stall", "drain", "left"] | EndReason

_FAR = 86_400.0
# A limit beyond this is checked again at this time. Most requests end earlier, and moving the timer
# for each of their limits would cost more than the check.
_LOOK_S = 10.0


class Deadline:
    """The time limits of one request, which one task processes. `since` is the start of the current
    step; the reader of the request's data moves it forward."""

    __slots__ = (
        "_armed",
        "_end",
        "_end_reason",
        "_loop",
        "_reason",
        "_resumed",
        "_resumed_whole",
        "_step",
        "_step_s",
        "_task",
        "since",
        "time",
    )

    def __init__(self, task: "asyncio.Task[object]") -> None:
        self._loop = task.get_loop()
        # The clock of the event loop.
        self.time = self._loop.time
        self._task = task
        self.since = self.time()
        # The start of the current step, and its time limit.
        self._step: Reason = "total"
        self._step_s = _FAR
        # The time limit of the whole request.
        self._end = self.since + _FAR
        self._end_reason: Reason = "total"
        self._armed: asyncio.TimerHandle | None = None
        self._reason: Reason | None = None
        # The step that was restarted, and whether the whole was extended; each happens once.
        self._resumed: float | None = None
        self._resumed_whole = False

    def limit(self, reason: Reason, seconds: float) -> None:
        """Limit the rest of the request to `seconds`."""
        now = self.time()
        if now + seconds < self._end:
            self._end, self._end_reason = now + seconds, reason
            self._arm(now)

    def allow(self, reason: Reason, seconds: float, since: float | None = None) -> None:
        """Limit the next step to `seconds`, from now or from `since`. The limit of the whole
        request still applies."""
        now = self.time() if since is None else since
        self._step, self._step_s, self.since = reason, seconds, now
        self._arm(now)

    def interrupt(self, reason: Reason) -> None:
        """Cancel the task now. If there are several reasons, the first is kept until it is
        caught."""
        if self._reason is None and not self._task.done():
            self._reason = reason
            self._task.cancel()

    @property
    def reason(self) -> Reason | None:
        """The reason for the interruption; None if there was none, or after `caught`."""
        return self._reason

    def caught(self) -> Reason | None:
        """Return the reason if this deadline caused the cancellation, which then counts as handled;
        None for a cancellation from elsewhere. Call this once, in `except CancelledError`."""
        reason, self._reason = self._reason, None
        if reason is None:
            return None
        return reason if self._task.uncancel() == 0 else None

    def stop(self) -> None:
        """Remove all limits."""
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None

    def _arm(self, now: float) -> None:
        """Set the timer to the next moment at which a limit may be reached."""
        at = min(self.since + self._step_s, self._end)
        if self._armed is None:
            at = min(at, now + _LOOK_S)
        elif self._armed.when() > at:
            self._armed.cancel()
        else:
            return
        self._armed = self._loop.call_at(at, self._check_due, max(at, self.time()))

    def _check_due(self, due: float) -> None:
        self._armed = None
        now = self.time()
        if was_away(due, now):
            self._resume(due, now)
        if now >= self._end:
            self.interrupt(self._end_reason)
        elif now >= self.since + self._step_s:
            self.interrupt(self._step)
        else:
            self._arm(now)

    def _resume(self, due: float, now: float) -> None:
        """Restart the step, because data arrived during the suspension and has not been read
        yet."""
        if self.since != self._resumed:
            self.since = self._resumed = now
        if not self._resumed_whole:
            self._resumed_whole = True
            self._end += now - due + _LOOK_S
