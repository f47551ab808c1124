"""The delay with which an event loop runs what is due, for which every step of every request
waits."""

import asyncio
import time
from typing import Final

_CHECK_S: Final = 0.25


class LoopLag:
    """The mean delay of a timer. It is measured on the loop, and may be read in any thread."""

    def __init__(self) -> None:
        self._delays_s: list[float] = []

    async def measure_for_ever(self) -> None:
        """Measure the running loop until cancelled."""
        while True:
            # The loop's own clock cannot be used, because it stands still during a turn.
            due_at = time.monotonic() + _CHECK_S
            await asyncio.sleep(_CHECK_S)
            self._delays_s.append(max(0.0, time.monotonic() - due_at))

    def take(self) -> float | None:
        """Return the mean delay in seconds since the last call; None if nothing was measured."""
        delays_s, self._delays_s = self._delays_s, []
        return sum(delays_s) / len(delays_s) if delays_s else None
