"""Wake a process once for all of its periodic work: each wait ends at a multiple of its period on
the loop's clock. An idle process then wakes once a second, not once for each kind of work."""

import asyncio
from typing import Final

# Timers count milliseconds: one that fires a moment before its multiple means the next one.
_EARLY: Final = 0.05


def seconds_to_next(period_s: float, now: float) -> float:
    """Return the seconds from `now` to the next multiple of the period: one period at most, and a
    twentieth of it more if the next multiple is so close."""
    left_s = period_s - now % period_s
    return left_s if left_s > period_s * _EARLY else left_s + period_s


async def next_tick(period_s: float) -> None:
    """Wait for the next multiple of the period."""
    await asyncio.sleep(seconds_to_next(period_s, asyncio.get_running_loop().time()))
