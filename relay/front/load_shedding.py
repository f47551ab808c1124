"""How many requests a busy process has under way at most, so that it answers those in time (P20).

A process is one event loop. At a load beyond its CPU whatever is due waits for it, each step of
each request, and the longer the more requests it takes. This wait is measured, as CoDel (RFC 8289)
measures that in a queue: a burst makes it long and is over soon; only a wait that stays long is
overload. From then on one is taken as one ends:

    the wait stays long    a few fewer than there are: the longer it took to measure, the fewer
    it was short           a few more than before; no limit, once it is far above what is under way

Refused is who has more than a fair share of the limit: an organisation of all places, a key of
those of its organisation. Others take a place beyond the limit, and the next that ends of the
largest is not replaced.

Requests come in waves, each of which makes others wait for a moment. The process rests behind it,
and to take fewer would only make its rest longer.

All times are seconds of one clock that only goes forward, and are given by the caller.
"""

from collections.abc import Callable, Iterable
from math import exp
from typing import Final

MEASURED_EACH_S: Final = 0.05
WAIT_S_MAX: Final = 0.035
PATIENCE_S: Final = 2.0
"""For so long a wait stays long before anybody is refused, and the next before it is ever fewer."""
LIMITED_PATIENCE_S: Final = 0.15
UNDER_WAY_MIN: Final = 64
"""So few never keep a process busy by themselves: something else has taken the time, and to refuse
some of them would not give it back."""
BUSY_MIN: Final = 0.5
"""Nor would it where the event loop worked for less than so much of the time: other threads, which
draw pages, or other processes have the CPU."""
# How the limit falls and rises in the time between two measurements. A slow rise keeps requests
# that begin together, and whose providers answer together, from coming in ever higher waves.
_FALL: Final = 0.98
_RISE: Final = 1.008
_ELAPSED_S_MAX: Final = 1.0
_FAR_ABOVE: Final = 2
COME_AGAIN_S: Final = (4.0, 40.0)
"""The least and the longest mean time to come again: clients take no word that is over a minute."""
_RATE_OVER_S: Final = 1.0


class LoadShedding:
    """The limit of one process, None while there is none. `wait_s_max` is how long what is due may
    wait, 0 = as long as it does; `wait_s` is how long it waits now."""

    __slots__ = (
        "_away", "_long_since", "_measured_at", "_refused", "_taken", "_taken_each_s",
        "_wait_s_max", "limit", "wait_s",
    )  # fmt: skip

    def __init__(self, wait_s_max: float = WAIT_S_MAX) -> None:
        self.limit: float | None = None
        self.wait_s = 0.0
        self._wait_s_max = wait_s_max
        self._long_since: float | None = None
        self._measured_at = 0.0
        # Since the last measurement; and those that were told before to come again, and have not.
        self._taken = 0
        self._refused = 0
        self._taken_each_s = 0.0
        self._away = 0.0

    def measured(self, wait_s: float, under_way: int, busy: float, now: float) -> None:
        """Something waited for so long, while so many requests were under way; since the last time
        the event loop worked for that share of the time."""
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
            # What was due had to wait since then.
            self._long_since = now - wait_s
        patience_s = PATIENCE_S if self.limit is None else LIMITED_PATIENCE_S
        if now - self._long_since >= patience_s:
            self.limit = max(UNDER_WAY_MIN, under_way * _FALL**times)

    def takes(
        self, under_way: int, is_within_share: Callable[[float], bool] = lambda limit: False
    ) -> bool:
        """Whether a request that has just come is taken beside so many: above the limit only if who
        asks stays within their fair share of it (P35)."""
        if self.limit is None or under_way < self.limit or is_within_share(self.limit):
            self._taken += 1
            return True
        self._refused += 1
        return False

    def come_again_s(self) -> float:
        """After which time, in the mean, those who are refused now shall come again."""
        shortest, longest = COME_AGAIN_S
        if not self._taken_each_s:
            return shortest
        return min(max((self._away + self._refused) / self._taken_each_s, shortest), longest)

    def _count_away(self, elapsed_s: float) -> None:
        """Who was told to come again does so in the course of that time."""
        if elapsed_s <= 0:
            return
        self._away = self._away * exp(-elapsed_s / self.come_again_s()) + self._refused
        weight = 1 - exp(-elapsed_s / _RATE_OVER_S)
        self._taken_each_s += weight * (self._taken / elapsed_s - self._taken_each_s)
        self._taken = self._refused = 0


def is_within_share(
    limit: float, of_key: int, of_keys: Iterable[int], of_organisations: Iterable[int]
) -> bool:
    """Whether a key that has so many requests under way may have one more of `limit`: whether they
    would all have room if no other key of its organisation had more than it then has, and no other
    organisation more than these keys together. What the others really have is given."""
    of_key += 1
    own = of_key + sum(min(others, of_key) for others in of_keys)
    return own + sum(min(others, own) for others in of_organisations) <= limit
