"""P20: a request that came while the process was busy, or stopped for a moment, is answered.

By the clock its connection has been silent for too long by the time the process goes on; the kernel
has had the request in time. Closed then, its client would see a reset on a connection that it was
told to keep.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from config.server import protocol as module
from config.server.event_loop import EventLoop
from config.server.protocol import Protocol

REQUEST = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n"
SILENCE_S = 0.05
LIMIT_S = 30.0


async def application(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hi"})


async def turn_until(holds: Callable[[], bool]) -> None:
    """Let the event loop turn until it is so."""
    for _ in range(100_000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("it has never been so")


class Server:
    """One that keeps a silent connection for `keep_alive_s`."""

    def __init__(self, keep_alive_s: float) -> None:
        config = Config(application, loop="none", log_config=None)
        config.load()
        config.timeout_keep_alive = keep_alive_s  # type: ignore[assignment]
        self.state = ServerState()
        self.protocols: list[Protocol] = []
        self._config = config

    def _make(self) -> Protocol:
        self.protocols.append(Protocol(self._config, self.state, {}))
        return self.protocols[-1]

    async def connect(self) -> socket.socket:
        """A client whose connection the server knows."""
        server = await asyncio.get_running_loop().create_server(self._make, "127.0.0.1", 0)
        client = socket.create_connection(server.sockets[0].getsockname())
        client.settimeout(LIMIT_S)
        before = len(self.protocols)
        await turn_until(lambda: any(one.transport for one in self.protocols[before:]))
        server.close()
        return client


class Work(asyncio.Protocol):
    """Does it as soon as it hears something."""

    def __init__(self, do: Callable[[], None]) -> None:
        self.do = do
        self.done = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.do()
        self.done.set()


async def send_while_busy(client: socket.socket, request: bytes, seconds: float) -> None:
    """Send this while the event loop reads from others, which takes it so long: what is due by then
    comes before it reads from this one."""

    def work() -> None:
        client.sendall(request)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass

    ours, theirs = socket.socketpair()
    with theirs:
        loop = asyncio.get_running_loop()
        transport, other = await loop.create_connection(lambda: Work(work), sock=ours)
        theirs.sendall(b"x")
        await other.done.wait()
        transport.close()


async def receive_from(client: socket.socket) -> bytes:
    return await asyncio.to_thread(client.recv, 65_536)


def run(main: Callable[[], Awaitable[None]]) -> None:
    with asyncio.Runner(loop_factory=EventLoop) as runner:
        runner.run(main())  # type: ignore[arg-type]


def test_the_next_request_on_a_kept_connection() -> None:
    async def main() -> None:
        with await Server(SILENCE_S).connect() as client:
            client.sendall(REQUEST)
            assert (await receive_from(client)).startswith(b"HTTP/1.1 200 ")
            await send_while_busy(client, REQUEST, 2 * SILENCE_S)
            assert (await receive_from(client)).startswith(b"HTTP/1.1 200 ")
            # One that stays silent is closed.
            assert await receive_from(client) == b""

    run(main)


@pytest.mark.parametrize("before", [0, 7])
def test_the_first_request_of_a_connection(monkeypatch: pytest.MonkeyPatch, before: int) -> None:
    """Also one of which a part was read before."""
    monkeypatch.setattr(module, "HEAD_S", SILENCE_S)

    async def main() -> None:
        server = Server(LIMIT_S)
        with await server.connect() as client:
            client.sendall(REQUEST[:before])
            await turn_until(lambda: server.protocols[0]._open_bytes == before)
            await send_while_busy(client, REQUEST[before:], 2 * SILENCE_S)
            assert (await receive_from(client)).startswith(b"HTTP/1.1 200 ")

    run(main)


def test_connection_with_a_request_does_not_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "connections_max", lambda: 2)

    async def main() -> None:
        server = Server(LIMIT_S)
        with await server.connect() as asked, await server.connect() as silent:
            asked.sendall(REQUEST)
            # Before that is read, another client comes.
            newest = server._make()
            newest.connection_made(server.protocols[0].transport)
            server.state.connections.discard(newest)
            assert (await receive_from(asked)).startswith(b"HTTP/1.1 200 ")
            assert await receive_from(silent) == b""

    run(main)


def test_request_received_before_the_process_stops() -> None:
    async def main() -> None:
        server = Server(LIMIT_S)
        with await server.connect() as client:
            client.sendall(REQUEST)
            server.protocols[0].shutdown()
            answer = await receive_from(client)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"connection: close\r\n" in answer
            assert await receive_from(client) == b""

    run(main)
