"""A process that was told to stop: how long the rest may still take."""

import signal
from types import FrameType
from typing import Any, cast

from relay.front.readiness import Readiness


async def test_stop_time_is_counted_once() -> None:
    """It begins with the signal that stops the server: who waits after the server has what it left
    over. Else a supervisor kills the process before its settlements are written."""
    told: list[int] = []

    def stop_server(number: int, frame: FrameType | None) -> None:
        told.append(number)

    before = signal.signal(signal.SIGTERM, stop_server)
    try:
        readiness = Readiness(cast(Any, None), cast(Any, None), cast(Any, None))
        readiness.drain_at_sigterm(0)
        assert readiness.left_of(600) == 600
        signal.raise_signal(signal.SIGTERM)
        assert told == [signal.SIGTERM]
        assert readiness.draining
        first = readiness.left_of(600)
        signal.raise_signal(signal.SIGTERM)
        assert readiness.left_of(600) <= first <= 600
        assert readiness.left_of(0) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
