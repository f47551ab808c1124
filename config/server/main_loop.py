"""uvicorn's main loop, woken once a second and by the signal that ends the process. uvicorn's own
wakes ten times a second to see whether a signal came, also while nobody asks."""

import asyncio
import contextlib
from types import FrameType
from typing import Final

from uvicorn.server import Server

from lib.process.ticks import seconds_to_next

# How often the head `Date` is renewed.
_TICK_S: Final = 1.0
_handle_exit = Server.handle_exit
_ended = asyncio.Event()


async def _serve_until_ended(server: Server) -> None:
    loop = asyncio.get_running_loop()
    while not await server.on_tick(0):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(_ended.wait(), seconds_to_next(_TICK_S, loop.time()))


def _end(server: Server, number: int, frame: FrameType | None) -> None:
    _handle_exit(server, number, frame)
    _ended.set()


def wake_once_a_second() -> None:
    """Let the servers of this process run so. uvicorn offers no class of one's own for it."""
    Server.main_loop = _serve_until_ended  # type: ignore[assignment,method-assign]
    Server.handle_exit = _end  # type: ignore[assignment,method-assign]
