"""Whether a channel, or one of its keys, may be asked: the breaker and the rest.

    CLOSED --too many failures--> OPEN --its time is over--> HALF-OPEN --three good--> CLOSED
                                    ^----- one bad: twice as long ----------'

After a failure, a key, model or channel rests, and is asked again:

    with an alternative     after its rest, by one request at a time
    without an alternative  after 1 second, by one request at a time; then after 2, 4, … 60

A success ends the rest immediately. An open channel without an alternative is asked in this way
too, and a success then lets all requests through immediately.

Failures are faults of the channel, before or after the commit point; a client's errors do not count
(docs/promises.md, "Numbers"). All times are seconds of one monotonic clock, passed by the caller.
"""

from dataclasses import dataclass
from typing import Final

from dialects.upstream_errors.retry_after import WAIT_MS_MAX

SAMPLE_MIN: Final = 20
CONNECTS_MAX: Final = 5
GOOD_TO_CLOSE: Final = 3
LONGEST_FACTOR: Final = 6
# The percentage of requests for a model that are still sent when all its channels fail.
PANIC_PERCENT: Final = 5
_SLOTS: Final = 10
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


@dataclass(frozen=True, slots=True)
class BreakerRule:
    """What opens a channel's breaker: failure of half of at least 20 attempts within `window`
    seconds; if `failures` is set, that many failures that are at least half; or five failed
    connections in a row. `open_for` is the first open time; the longest is six times that."""

    enabled: bool = True
    failures: int | None = None
    window: float = 10.0
    open_for: float = 10.0


class Window:
    """Counts of successes and failures in the last `seconds`, with a resolution of a tenth."""

    __slots__ = ("_slots", "_width")

    def __init__(self, seconds: float) -> None:
        self._width = seconds / _SLOTS
        self._slots = [[-1, 0, 0] for _ in range(_SLOTS)]

    def add(self, now: float, *, good: bool) -> None:
        n = int(now / self._width)
        slot = self._slots[n % _SLOTS]
        if slot[0] != n:
            slot[:] = (n, 0, 0)
        slot[1 if good else 2] += 1

    def count(self, now: float) -> tuple[int, int]:
        """Return the counts of successes and failures."""
        oldest = int(now / self._width) - _SLOTS
        inside = [slot for slot in self._slots if slot[0] > oldest]
        return sum(slot[1] for slot in inside), sum(slot[2] for slot in inside)


class Breaker:
    """The breaker of one channel or of one of its keys."""

    __slots__ = (
        "_connects", "_good", "_open_s", "_probe_until", "_rule", "_until", "_window", "rest"
    )  # fmt: skip

    def __init__(self, rule: BreakerRule) -> None:
        self._rule = rule
        self._window = Window(rule.window)
        self._connects = self._good = 0
        self._until = self._open_s = self._probe_until = 0.0
        # When it may be asked although it is open, because there is no alternative.
        self.rest = Rest()

    @property
    def closed(self) -> bool:
        return self._open_s == 0.0

    def allows(self, now: float) -> bool:
        """Return whether a request may be sent. While the breaker is closed it always may; after an
        open breaker's time is over, one request at a time."""
        return self._open_s == 0.0 or (now >= self._until and now >= self._probe_until)

    def allows_without_alternative(self, now: float) -> bool:
        """Return whether a request without an alternative may be sent."""
        return self.allows(now) or self.rest.allows_without_alternative(now)

    def seconds_open(self, now: float) -> float:
        """Return for how many seconds the breaker stays open."""
        return 0.0 if self.closed else max(self._until - now, 0.0)

    def wait_s(self, now: float) -> float:
        """Return in how many seconds a request without an alternative may be sent."""
        return 0.0 if self.allows(now) else self.rest.wait_s(now)

    def claim(self, now: float, seconds: float) -> None:
        """Let one request through although the breaker is not closed. No other may pass for
        `seconds`, or until the result is known."""
        if not self.closed:
            self._probe_until = now + seconds

    def give_back(self) -> None:
        """Release the claim of a probe that ended without a result."""
        self._probe_until = 0.0

    def good(self, now: float) -> None:
        """Record a success."""
        self._connects = 0
        if self._open_s == 0.0:
            self._window.add(now, good=True)
            return
        self.rest.end(now)
        self._until, self._probe_until = min(self._until, now), 0.0
        self._good += 1
        if self._good >= GOOD_TO_CLOSE:
            self._window = Window(self._rule.window)
            self._open_s = 0.0

    def bad(self, now: float, began: float, *, connect: bool = False) -> None:
        """Record the failure of an attempt that began at `began`. `connect` means that the
        connection failed."""
        self._probe_until = 0.0
        self._connects = self._connects + 1 if connect else 0
        if self._open_s == 0.0:
            self._window.add(now, good=False)
            if self._connects < CONNECTS_MAX and not self._too_many(now):
                return
        self.trip(now, began)

    def trip(self, now: float, began: float) -> None:
        """Open the breaker, for twice as long as the last time unless it has closed since then.
        While it is open, failures of older requests are ignored."""
        if not self._rule.enabled:
            return
        self.rest.fail(now, began)
        if self.seconds_open(now):
            return
        first, longest = self._rule.open_for, self._rule.open_for * LONGEST_FACTOR
        self._open_s = min(self._open_s * 2, longest) if self._open_s else first
        self._until, self._good, self._probe_until = now + self._open_s, 0, 0.0

    def adopt(self, now: float, open_s: float) -> None:
        """Apply the report of another process that it opened the breaker. A request without an
        alternative may probe immediately."""
        if not self._rule.enabled:
            return
        self.rest.adopt(now, 0.0)
        self._open_s = max(self._open_s, self._rule.open_for)
        self._until, self._good, self._probe_until = now + open_s, 0, 0.0

    def recover(self) -> None:
        """Apply the report of another process that the breaker is closed."""
        self.rest.recover()
        self._window, self._connects = Window(self._rule.window), 0
        self._open_s = self._until = self._probe_until = 0.0

    def reachable(self, now: float) -> None:
        """Record that connections succeed again: the next request may be sent."""
        if not self.closed:
            self.rest.recover()
            self._until = min(self._until, now)

    def _too_many(self, now: float) -> bool:
        good, bad = self._window.count(now)
        if bad < good:
            return False
        if self._rule.failures is not None:
            return bad >= self._rule.failures
        return good + bad >= SAMPLE_MIN
