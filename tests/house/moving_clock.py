"""An event loop whose clock moves to the next timer as soon as nothing else is to be done: an hour
of waiting takes no time, and always ends in the same order."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class _Selector(selectors.SelectSelector):
    """Never waits: it moves the clock instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0)
        if not events and timeout is None:
            raise RuntimeError("nothing is left that could wake anybody")
        if not events and timeout:
            # A little more than the rest, which a sum of floats could miss.
            self.now += timeout + 1e-9
        return events


class MovingLoop(asyncio.SelectorEventLoop):
    """See above. It is no loop for sockets."""

    def __init__(self) -> None:
        self._moving = _Selector()
        super().__init__(self._moving)

    def time(self) -> float:
        return self._moving.now


def run_moving(work: Coroutine[Any, Any, Result]) -> Result:
    """Run something under the moving clock."""
    with asyncio.Runner(loop_factory=MovingLoop) as runner:
        return runner.run(work)
