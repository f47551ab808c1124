"""The body of a pass-through while it arrives, read no faster than its provider accepts it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from dialects.errors.errors import RequestFault
from lib.process.asgi import Message, Receive
from lib.process.waiting import timeout
from relay.config import MIB
from relay.requests.body import TooLarge

BODY_BYTES_MAX: Final = 1024 * MIB


class IncomingBody:
    """The body of one request. `length` is None if its client did not state it. `fault` is why the
    body is not read to its end, after `interrupt` was called; None for a client that left. `offer`
    is called with True before the provider is to accept a piece, and with False once it has."""

    def __init__(self, receive: Receive, length: int | None, *, wait_s: float) -> None:
        self._receive = receive
        self._length = length
        self._wait_s = wait_s
        self._over = asyncio.Event()
        self.interrupt: Callable[[], None] = _nothing
        self.offer: Callable[[bool], None] = _nothing
        self.fault: RequestFault | None = None

    @property
    def framing(self) -> bytes:
        """The header line that states the body's length or chunked encoding."""
        if self._length is None:
            return b"transfer-encoding: chunked\r\n"
        return b"content-length: %d\r\n" % self._length

    async def pieces(self, sent: Callable[[], None]) -> AsyncIterator[bytes]:
        """Yield the body, chunked if its length is unknown. Call `sent` when everything has been
        taken."""
        size, more = 0, True
        try:
            while more:
                message = await self._next()
                piece: bytes = bytes(message["body"])
                more = message["more_body"]
                size += len(piece)
                if size > BODY_BYTES_MAX:
                    await self._give_up(TooLarge(size, BODY_BYTES_MAX))
                self.offer(True)
                if self._length is not None:
                    yield piece
                elif piece:
                    yield b"%x\r\n%b\r\n" % (len(piece), piece)
                self.offer(False)
            if self._length is None:
                yield b"0\r\n\r\n"
            sent()
        finally:
            self._over.set()

    async def _next(self) -> Message:
        try:
            async with timeout(self._wait_s):
                message = await self._receive()
        except TimeoutError:
            what = f"no more of the body arrived within {int(self._wait_s)} s; send it again"
            await self._give_up(RequestFault("request_timeout", None, what))
        if message["type"] != "http.request":
            await self._give_up(None)
        return message

    async def _give_up(self, fault: RequestFault | None) -> None:
        """End the request, which cancels the task that reads this body."""
        self.fault = fault
        self.interrupt()
        await asyncio.Event().wait()

    async def receive_after(self) -> Message:
        """Return the client's next message after the end of the body."""
        await self._over.wait()
        return await self._receive()


def _nothing(*what: object) -> None:
    return None
