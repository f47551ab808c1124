"""Why a waiting request must go on: its time is over, its client has left, or its key has ended.

One timer per request, moved by an assignment: a stream of thousands of chunks costs no timer per
chunk. When the time is over the task is cancelled, and `caught` tells it why. The time in which
this process itself was away (lib/process/waiting.py) is nobody's fault: a step begins once more
after it.
"""

import asyncio
from typing import Literal

from lib.process.waiting import was_away

Reason = Literal["first_content", "idle", "total", "stall", "drain", "left", "revoked"]

_FAR = 86_400.0
# A limit that is further away than this is looked at again then: most requests end before, and a
# timer that is moved for each of their limits costs more than the look.
_LOOK_S = 10.0


class Deadline:
    """The time limits of one request, worked on by one task. `since` is when the step began that it
    waits for: who hears something of it moves that."""

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
        # The step, and how long it may take.
        self._step: Reason = "total"
        self._step_s = _FAR
        # The whole.
        self._end = self.since + _FAR
        self._end_reason: Reason = "total"
        self._armed: asyncio.TimerHandle | None = None
        self._reason: Reason | None = None
        # The step that began once more, and whether the whole was prolonged: each is only once.
        self._resumed: float | None = None
        self._resumed_whole = False

    def limit(self, reason: Reason, seconds: float) -> None:
        """Nothing of this request may last longer than that from now."""
        now = self.time()
        if now + seconds < self._end:
            self._end, self._end_reason = now + seconds, reason
            self._arm(now)

    def allow(self, reason: Reason, seconds: float, since: float | None = None) -> None:
        """The next step may take so long from now, or since then, within the limit of the whole."""
        now = self.time() if since is None else since
        self._step, self._step_s, self.since = reason, seconds, now
        self._arm(now)

    def interrupt(self, reason: Reason) -> None:
        """Cancel the task now; the first reason stands until it is caught."""
        if self._reason is None and not self._task.done():
            self._reason = reason
            self._task.cancel()

    @property
    def reason(self) -> Reason | None:
        """Why it was interrupted; None where it was not, or that was caught."""
        return self._reason

    def caught(self) -> Reason | None:
        """Call it once in `except CancelledError`: the reason when the cancellation was ours,
        which then counts as handled; None when it came from elsewhere."""
        reason, self._reason = self._reason, None
        if reason is None:
            return None
        return reason if self._task.uncancel() == 0 else None

    def stop(self) -> None:
        """No limit any more."""
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None

    def _arm(self, now: float) -> None:
        """See to it that the limit is looked at in time."""
        at = min(self.since + self._step_s, self._end)
        if self._armed is None:
            self._armed = self._call_at(min(at, now + _LOOK_S))
        elif self._armed.when() > at:
            self._armed.cancel()
            self._armed = self._call_at(at)

    def _call_at(self, at: float) -> asyncio.TimerHandle:
        return self._loop.call_at(at, self._look, max(at, self.time()))

    def _look(self, due: float) -> None:
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
        """Let the step begin once more: what came while this process was away is not read yet."""
        if self.since != self._resumed:
            self.since = self._resumed = now
        if not self._resumed_whole:
            self._resumed_whole = True
            self._end += now - due + _LOOK_S
