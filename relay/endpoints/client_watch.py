"""Notices when the client of a request disconnects, while the request is answered."""

import asyncio
from collections.abc import Callable
from typing import Final

from lib.process.asgi import HEED, Receive
from relay.endpoints.request import Request

# A request that ends sooner needs no watch on its client; a disconnect must be noticed within 250
# ms (P6).
_WATCH_AFTER_S: Final = 0.05


class ClientWatch:
    """Notices when the client of a running request disconnects."""

    __slots__ = ("_leave", "_receive", "_task", "_timer")

    def __init__(self, receive: Receive, leave: Callable[[], None]) -> None:
        self._receive = receive
        self._leave = leave
        self._task: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_WATCH_AFTER_S, self._begin)

    def stop(self) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            # The cancellation's traceback refers to this frame: without this, the request's body
            # and answer would stay in memory until the next garbage collection.
            self._task = None

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        # Only a closed connection sends this message: a server that stops lets answers finish.
        self._leave()


def watch_client(
    request: Request, leave: Callable[[], None], receive: Receive | None = None
) -> ClientWatch | None:
    """Call `leave` when the client of a request disconnects. The caller stops the watch; None if
    there is nothing to stop. `receive` returns the client's messages that nobody else reads.
    """
    heed = request.scope.get(HEED)
    if heed is not None and heed(request.scope, leave):
        # Some servers call `leave` themselves.
        return None
    return ClientWatch(receive or request.receive, leave)
