"""The rest of a key, model or channel after a failure, and when it is asked again.

    with an alternative     after its rest, by one request at a time
    without an alternative  after 1 second, by one request at a time; then after 2, 4, … 60

A success ends the rest immediately. All times are seconds of one monotonic clock, passed by the
caller.
"""

from typing import Final

from dialects.upstream_errors.upstream_errors import WAIT_MS_MAX

FIRST_S: Final = 1.0
LONGEST_S: Final = 60.0
RETRY_AFTER_S_MAX: Final = WAIT_MS_MAX / 1000


class Rest:
    """The rest of a key, of a model of a key, or of a channel."""

    __slots__ = ("_failed_at", "_pause_s", "_retry_at", "_until")

    def __init__(self) -> None:
        # `_pause_s` is 0 without a failure, and during a rest that the provider requested.
        self._pause_s = 0.0
        self._until = self._retry_at = 0.0
        self._failed_at = float("-inf")

    def calm(self, now: float) -> bool:
        """Return whether the rest is over."""
        return self._pause_s == 0.0 and now >= self._until

    def allows(self, now: float) -> bool:
        """Return whether a request with an alternative may be sent."""
        return now >= self._until and now >= self._retry_at

    def allows_without_alternative(self, now: float) -> bool:
        """Return whether a request without an alternative may be sent."""
        return now >= self._retry_at

    def wait_s(self, now: float) -> float:
        """Return in how many seconds a request without an alternative may be sent."""
        return max(self._retry_at - now, 0.0)

    def left(self, now: float) -> float:
        """Return in how many seconds any request may be sent."""
        return max(self._until, self._retry_at, now) - now

    def fail(self, now: float, began: float, rest_s: float = 0.0) -> None:
        """Record the failure of a request that began at `began`. `rest_s` is the rest for requests
        with an alternative. Failures of requests older than the known failure are ignored."""
        if self._pause_s and began < self._failed_at:
            return
        self._pause_s = self._pause_s or FIRST_S
        self._retry_at = max(self._retry_at, now + self._pause_s)
        self._until, self._failed_at = now + rest_s, now

    def cool(self, now: float, retry_after_ms: int) -> None:
        """Rest for as long as the provider requested, at most two minutes. No request is sent
        before, and any may be sent after."""
        until = now + min(retry_after_ms / 1000, RETRY_AFTER_S_MAX)
        self._until = self._retry_at = until if self._pause_s else max(self._until, until)
        self._pause_s, self._failed_at = 0.0, now

    def adopt(self, now: float, rest_s: float) -> None:
        """Apply a rest that another process reported. A request without an alternative may probe
        immediately."""
        self._pause_s = self._pause_s or FIRST_S
        self._until, self._failed_at = now + rest_s, now

    def recover(self) -> None:
        """Apply the report of another process that the rest has ended."""
        self._pause_s = self._until = self._retry_at = 0.0

    def claim(self, now: float) -> bool:
        """Let one request through during the rest, and block others for a time that doubles each
        time, so that a slow answer keeps few waiting. Return False if no rest applies."""
        if not self._pause_s:
            return False
        self._pause_s = min(self._pause_s * 2, LONGEST_S)
        self._retry_at = now + self._pause_s
        return True

    def give_back(self, now: float) -> None:
        """Release the claim of a request that ended without a result, so that the next request may
        probe."""
        if self._pause_s:
            self._pause_s = max(self._pause_s / 2, FIRST_S)
            self._retry_at = min(self._retry_at, now)

    def end(self, began: float) -> None:
        """Record the success of a request that began at `began`."""
        if began >= self._failed_at:
            self._pause_s = self._until = self._retry_at = 0.0
