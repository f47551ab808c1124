"""The answer to one of our pages: it is queued here until the page fetches it."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Final

from relay.attempts.run import Run
from relay.downstream.downstream import ErrorAnswer, Head
from relay.requests.outcome import Outcome

_QUEUED_MAX: Final = 64


class QueueSink:
    """The sink of one of our pages."""

    def __init__(self) -> None:
        self._items: asyncio.Queue[Head | bytes | None] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()
        self.run: Run | None = None

    async def get(self) -> Head | bytes | None:
        """Return the next item of the answer, or None at the end."""
        item = await self._items.get()
        if self._items.qsize() < _QUEUED_MAX:
            self._room.set()
        return item

    def give_way(self) -> None:
        """Stop blocking on a full queue, because the page no longer fetches and a run may have to
        drain its answer."""
        self._room.set()

    def close(self, task: "asyncio.Task[Outcome]") -> None:
        self._items.put_nowait(None)

    async def refuse(self, error: ErrorAnswer) -> None:
        """Send nothing, because the outcome reports the error."""

    async def answer(self, head: Head, raw: bytes) -> None:
        await self.begin(head)
        await self.write(raw, last=True)

    async def begin(self, head: Head) -> None:
        self._items.put_nowait(head)

    async def write(self, raw: bytes, *, last: bool) -> None:
        room = self.write_now(raw)
        if room is not None:
            await room

    async def cut(self) -> None:
        """Send nothing, because the outcome reports the cut."""

    def write_now(self, raw: bytes) -> Awaitable[Any] | None:
        if raw:
            self._items.put_nowait(raw)
        if self._items.qsize() < _QUEUED_MAX:
            return None
        self._room.clear()
        return self._room.wait()
