"""How the web server speaks HTTP: uvicorn's protocol, with less that may wait for a slow reader,
with a response's head in one piece with what follows it, and without chunks for HTTP/1.0, whose
clients read them as content: what has no length ends with its connection.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# What a client has not taken stays in memory, for each of its streams (P9).
_UNSENT_BYTES_MAX: Final = 16 * 1024
_JOINED_BYTES_MAX: Final = 64 * 1024


class Protocol(HttpToolsProtocol):
    """One connection of a client."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=_UNSENT_BYTES_MAX)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        cycle.transport = _HeadJoined(self.loop, cycle)
        unchunked = cycle.scope["http_version"] == "1.0"
        super()._start_asgi_task(cycle, _unchunked(cycle, app) if unchunked else app)


def _unchunked(cycle: Any, app: Any) -> Any:
    """The application, for a client that knows no chunks."""
    unbounded = False

    async def send(message: Any) -> None:
        nonlocal unbounded
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message.get("headers", ())}
            unbounded = b"content-length" not in names
            if unbounded:
                cycle.chunked_encoding = False
        elif unbounded:
            cycle.expected_content_length = len(message.get("body", b""))
        await cycle.send(message)

    async def answer(scope: Any, receive: Any, _: Any) -> Any:
        return await app(scope, receive, send)

    return answer


class _HeadJoined:
    """What one response is first written to. Its head waits for the rest of what is written in the
    same turn of the loop: a write of its own is a packet and a system call more. What comes later
    goes to the transport itself."""

    __slots__ = ("_cycle", "_flushing", "_head", "_loop", "_transport")

    def __init__(self, loop: asyncio.AbstractEventLoop, cycle: Any) -> None:
        self._loop = loop
        self._cycle = cycle
        self._transport: asyncio.Transport = cycle.transport
        self._head: bytes | None = None
        self._flushing: asyncio.Handle | None = None

    def write(self, data: bytes) -> None:
        if self._head is None:
            self._head = data
            self._flushing = self._loop.call_soon(self._flush)
        elif len(data) > _JOINED_BYTES_MAX:
            self._flush()
            self._transport.write(data)
        else:
            self._transport.write(self._taken() + data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _taken(self) -> bytes:
        self._cycle.transport = self._transport
        if self._flushing is not None:
            self._flushing.cancel()
        return self._head or b""

    def _flush(self) -> None:
        head = self._taken()
        if head and not self._transport.is_closing():
            self._transport.write(head)
