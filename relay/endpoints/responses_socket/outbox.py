"""The queue of messages to the client of a connection, in order."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Final

from lib.process.waiting import timeout
from relay.realtime.sink import ClientLeft, RealtimeSink

_QUEUED_MAX: Final = 64


class Outbox:
    """Messages from any task, which one task sends. `closed`: the client has left; it counts as
    left if it takes no message for `stall_s`."""

    def __init__(self, sink: RealtimeSink, stall_s: float) -> None:
        self._sink = sink
        self._stall_s = stall_s
        self._messages: asyncio.Queue[str] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()
        self.closed = False

    def put(self, message: str) -> None:
        """Queue a message."""
        if not self.closed:
            self._messages.put_nowait(message)
            if self._messages.qsize() >= _QUEUED_MAX:
                self._room.clear()

    def room(self) -> Awaitable[Any] | None:
        """Return an awaitable for room in the queue, or None if there is room."""
        return None if self._room.is_set() else self._room.wait()

    def close(self) -> None:
        """Record that the client has left. Draining an answer then does not wait for the client to
        read."""
        self.closed = True
        self._room.set()

    async def send_each(self) -> None:
        """Send messages as they are queued. Raises ClientLeft."""
        while True:
            message = await self._messages.get()
            try:
                async with timeout(self._stall_s):
                    await self._sink.send_text(message)
            except TimeoutError:
                raise ClientLeft from None
            if self._messages.qsize() < _QUEUED_MAX:
                self._room.set()

    async def send_rest(self) -> None:
        """Send the remaining messages. Raises ClientLeft."""
        while not self._messages.empty():
            await self._sink.send_text(self._messages.get_nowait())
