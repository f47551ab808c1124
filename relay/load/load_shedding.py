"""Limit how many requests an overloaded process runs, so that it answers those in time (P20).

A process is one event loop. Beyond the capacity of its CPU every step of every request waits for
the loop, and the longer the more requests there are. This wait is measured the way CoDel (RFC 8289)
measures a queue: a burst makes it long for a moment; only a wait that stays long is overload. Then
the limit on running requests changes:

    the wait stays long    it falls below the current number: the longer the measurement, the lower
    it was short           it rises a little, and ends once it is far above the current number

Callers with more than a fair share of the limit are refused: an organisation's share is of all
places, a key's share is of its organisation's. Others are admitted beyond the limit, and the next
finished request of the largest caller is not replaced.

Requests come in waves, and each wave makes others wait for a moment. The process is idle after a
wave, so that admitting fewer would only lengthen the idle time.

All times are seconds of one monotonic clock, and are passed in by the caller.
"""

from collections.abc import Callable, Iterable
from math import exp
from typing import Final

MEASURED_EACH_S: Final = 0.05
PATIENCE_S: Final = 2.0
"""How long a wait must stay long before the first refusal, and between two reductions of the
limit.
"""
LIMITED_PATIENCE_S: Final = 0.15
UNDER_WAY_MIN: Final = 64
"""This few requests never overload a process: something else took the time, and refusing some of
them would not give it back.
"""
BUSY_MIN: Final = 0.5
"""Refusing does not help if the event loop worked for less than this share of the time: then other
threads, which render pages, or other processes use the CPU."""
# How the limit falls and rises between two measurements. It rises slowly, so that requests that
# begin together, and whose providers answer together, do not come in ever higher waves.
_FALL: Final = 0.98
_RISE: Final = 1.008
_ELAPSED_S_MAX: Final = 1.0
_FAR_ABOVE: Final = 2
COME_AGAIN_S: Final = (4.0, 40.0)
"""The limits of the mean retry time. Clients ignore a wait of more than a minute."""
_RATE_OVER_S: Final = 1.0


class LoadShedding:
    """The limit on running requests of one process, None while there is none. `wait_s_max` is the
    longest acceptable wait, 0 = unlimited; `wait_s` is the current wait."""

    __slots__ = (
        "_away", "_long_since", "_measured_at", "_refused", "_taken", "_taken_each_s",
        "_wait_s_max", "limit", "wait_s",
    )  # fmt: skip

    def __init__(self, wait_s_max: float) -> None:
        self.limit: float | None = None
        self.wait_s = 0.0
        self._wait_s_max = wait_s_max
        self._long_since: float | None = None
        self._measured_at = 0.0
        # Counts since the last measurement, and the refused clients that have not returned yet.
        self._taken = 0
        self._refused = 0
        self._taken_each_s = 0.0
        self._away = 0.0

    def measured(self, wait_s: float, under_way: int, busy: float, now: float) -> None:
        """Record a measured wait while `under_way` requests were running. `busy` is the share of
        the time since the last measurement in which the event loop worked."""
        if not self._wait_s_max:
            return
        self._count_away(now - self._measured_at)
        times = min(now - self._measured_at, _ELAPSED_S_MAX) / MEASURED_EACH_S
        self._measured_at = now
        self.wait_s = wait_s
        if wait_s <= self._wait_s_max or under_way < UNDER_WAY_MIN or busy < BUSY_MIN:
            self._long_since = None
            if self.limit is not None:
                self.limit *= _RISE**times
                if self.limit > _FAR_ABOVE * max(under_way, UNDER_WAY_MIN):
                    self.limit = None
            return
        if self._long_since is None:
            # Ready callbacks had to wait since then.
            self._long_since = now - wait_s
        patience_s = PATIENCE_S if self.limit is None else LIMITED_PATIENCE_S
        if now - self._long_since >= patience_s:
            self.limit = max(UNDER_WAY_MIN, under_way * _FALL**times)

    def admits(
        self, under_way: int, is_within_share: Callable[[float], bool] = lambda limit: False
    ) -> bool:
        """Return whether to admit a request while `under_way` others are running. Above the limit
        it is admitted only if the caller stays within its fair share (P35)."""
        if self.limit is None or under_way < self.limit or is_within_share(self.limit):
            self._taken += 1
            return True
        self._refused += 1
        return False

    def come_again_s(self) -> float:
        """Return the mean time after which refused clients should retry."""
        shortest, longest = COME_AGAIN_S
        if not self._taken_each_s:
            return shortest
        return min(max((self._away + self._refused) / self._taken_each_s, shortest), longest)

    def _count_away(self, elapsed_s: float) -> None:
        """Assume that refused clients come back evenly spread over the retry time."""
        if elapsed_s <= 0:
            return
        self._away = self._away * exp(-elapsed_s / self.come_again_s()) + self._refused
        weight = 1 - exp(-elapsed_s / _RATE_OVER_S)
        self._taken_each_s += weight * (self._taken / elapsed_s - self._taken_each_s)
        self._taken = self._refused = 0


def is_within_share(
    limit: float, of_key: int, of_keys: Iterable[int], of_organisations: Iterable[int]
) -> bool:
    """Return whether a key that runs `of_key` requests may run one more of `limit`.

    It may if there were room for all even when the other keys of its organisation (`of_keys`) ran
    as many as this key then runs, and the other organisations (`of_organisations`) as many as this
    organisation's keys together. A key or organisation that runs fewer counts with its real number.
    """
    of_key += 1
    own = of_key + sum(min(others, of_key) for others in of_keys)
    return own + sum(min(others, own) for others in of_organisations) <= limit
